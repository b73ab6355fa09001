'use strict';
// Requests to HTTP functions through their trigger, by the client's `get`, `post`, `put` and `delete`.

const { SIGNED, assert, client, fc, refused, serviceWith, test } = require('./fc');

async function http(guest = 'rust-http', authType = 'anonymous', methods = ['GET', 'POST', 'PUT', 'DELETE']) {
  const name = await serviceWith(guest);
  await fc.createTrigger(name, 'f', { triggerName: 'h', triggerType: 'http', triggerConfig: { authType, methods } });
  return name;
}

test('every method gets to the function', async () => {
  const name = await http();
  assert.ok((await fc.get(`/proxy/${name}/f/`)).data.length > 0);
  const posted = await fc.post(`/proxy/${name}/f/invoke`, 'roses', { 'x-colour': 'red' });
  assert.equal(posted.data, 'roses');
  for (const method of ['PUT', 'DELETE']) {
    // The function takes only POST there, and says so itself.
    const error = await fc.request(method, `/proxy/${name}/f/invoke`, null, 'x').then(() => assert.fail('it was taken'), (why) => why);
    assert.match(error.message, /failed with 405/);
  }
  assert.equal((await fc.put(`/proxy/${name}/f/echo`, Buffer.from('violets'))).data, 'violets');
  assert.equal((await fc.delete(`/proxy/${name}/f/echo`)).data, '');
});

test('paths and queries are signed as the client does it', async () => {
  const name = await http('rust-http', 'function');
  const query = { k: ['1', '2'], 'key with space': 'value with space', empty: '' };
  assert.equal((await fc.post(`/proxy/${name}/f/echo`, 'hi', {}, query)).data, 'hi');
  assert.equal((await fc.post(`/proxy/${name}/f/echo`, 'hi')).data, 'hi');
});

test('who has no key is kept out', { skip: SIGNED ? false : 'this server checks no signatures' }, async () => {
  const name = await http('rust-http', 'function');
  await refused(403, 'SignatureNotMatch', () => client({ accessKeySecret: 'wrong' }).get(`/proxy/${name}/f/`));
});

test('without a trigger there is nothing', async () => {
  const name = await serviceWith('rust-http');
  await refused(404, 'TriggerNotFound', () => fc.get(`/proxy/${name}/f/`));
  const limited = await http('rust-http', 'anonymous', ['GET']);
  await refused(403, ['AccessDenied', 'MethodNotAllowed', 'InvalidArgument'], () => fc.post(`/proxy/${limited}/f/invoke`, 'x'));
});
