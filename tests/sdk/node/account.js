'use strict';
// What belongs to the account, and the uploads to object stores elsewhere, which are not to be had.

const { assert, client, fc, refused, service, settings, test, told } = require('./fc');

test('settings name a zone', async () => {
  assert.ok(told(await fc.getAccountSettings()).availableAZs.length > 0);
});

test('nothing is reserved', async () => {
  assert.deepEqual(told(await fc.listReservedCapacities()).reservedCapacities, []);
});

// An answer would send the client to a bucket of the official service with keys that it does not know.
test('uploads to the official object store are refused', async () => {
  const name = await service();
  const codes = ['PathNotSupported', 'InvalidArgument'];
  await refused(400, codes, () => fc.getTempBucketToken());
  await refused(400, codes, () => fc.getAccountConfigs({ config: ['CodeSizeLimit'] }));
  await refused(400, codes, () => fc.getTempCodeBucketPermission(name, 'f', 'e1'));
  await refused(400, codes, () => fc.createFunction(name, { ...settings('f'), withoutCodeLimit: true }));
  await refused(400, codes, () => fc.updateFunction(name, 'f', { ...settings('f'), withoutCodeLimit: true }));
  await refused(400, codes, () => fc.publishLayerVersionForBigCode('layer', { codeConfig: { size: 1, zipFilePath: 'x' } }));
});

test('the client knows its account and region', () => {
  const other = client({ securityToken: 'token', accessKeyID: 'STS.key' }, '42');
  assert.equal(other.accountid, '42');
  assert.equal(other.buildHeaders()['x-fc-security-token'], 'token');
});
