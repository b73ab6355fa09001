'use strict';
// Signed requests: who signs as documented is let in, and nobody else. Needs a server that checks.

const { ACCOUNT, SECRET, SIGNED, assert, client, fc, refused, service, test: always } = require('./fc');

const test = (name, body) => always(name, { skip: SIGNED ? false : 'this server checks no signatures' }, body);
const moment = (seconds) => new Date(Date.now() + seconds * 1000).toUTCString();

test('a wrong secret does not match', async () => {
  const error = await refused(403, 'SignatureNotMatch', () => client({ accessKeySecret: 'wrong' }).listServices());
  assert.ok(!error.message.includes(SECRET));
});

test('a key nobody has', async () => {
  await refused(403, 'InvalidAccessKeyID', () => client({ accessKeyID: 'nobody' }).listServices());
});

test('clocks may be fifteen minutes apart', async () => {
  await fc.listServices({}, { date: moment(-14 * 60) });
  await fc.listServices({}, { date: moment(14 * 60) });
  await refused(403, 'RequestTimeTooSkewed', () => fc.listServices({}, { date: moment(-16 * 60) }));
  await refused(403, 'RequestTimeTooSkewed', () => fc.listServices({}, { date: moment(16 * 60) }));
});

test('every kind of body is signed', async () => {
  const name = await service({ description: '\u00e4 \u4f60' });
  assert.equal((await fc.getService(name)).data.description, '\u00e4 \u4f60');
  await refused(404, 'FunctionNotFound', () => fc.invokeFunction(name, 'f', Buffer.from([0, 255])));
});

test('another account is kept out', async () => {
  await client({}, ACCOUNT).listServices();
  await refused(403, ['CrossAccountAccessDenied', 'AccessDenied'], () => client({}, '999').listServices());
});

test('a token nobody gave', async () => {
  const stranger = client({ accessKeyID: 'STS.nobody', securityToken: 'made-up' });
  await refused(403, ['InvalidAccessKeyID', 'InvalidSecurityToken', 'AccessDenied'], () => stranger.listServices());
});

test('nothing happens without a signature', async () => {
  const name = await service();
  const stranger = client({ accessKeySecret: 'wrong' });
  await refused(403, 'SignatureNotMatch', () => stranger.deleteService(name));
  await refused(403, 'SignatureNotMatch', () => stranger.invokeFunction(name, 'f', 'x'));
  assert.equal((await fc.getService(name)).data.serviceName, name);
});
