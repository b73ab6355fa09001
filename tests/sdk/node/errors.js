'use strict';
// Errors: a code for programs, a message for people, an id for both; for wrong turns too.

const { assert, fc, refused, service, test } = require('./fc');

test('what the client makes of a refusal', async () => {
  const error = await refused(404, 'ServiceNotFound', () => fc.getService('js-no-such-service'));
  assert.equal(error.name, 'FCServiceNotFoundError');
  assert.match(error.message, /^GET \/services\/js-no-such-service failed with 404\..*service 'js-no-such-service' does not exist\.$/);
});

test('wrong turns are told like everything else', async () => {
  const turns = [['GET', '/nothing'], ['PATCH', '/services'], ['DELETE', '/services'], ['POST', '/services/s/functions/f']];
  for (const [method, path] of turns) {
    await refused([400, 404, 405], ['PathNotSupported', 'ServiceNotFound'], () => fc.request(method, path, null, null));
  }
});

test('bodies that are no objects are refused', async () => {
  const name = await service();
  for (const body of ['text', '[]', 'null', '{', '{"a":1}{"b":2}', Buffer.from([0xff, 0xfe]), '['.repeat(100000)]) {
    await refused(400, 'InvalidArgument', () => fc.put(`/services/${name}`, body));
  }
});

test('what the client refuses itself', async () => {
  assert.throws(() => fc.invokeFunction('s', 'f', { an: 'object' }), TypeError);
});
