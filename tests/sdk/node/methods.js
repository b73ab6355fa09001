'use strict';
// Every public method of the client has come back with an answer in one of the tests before, or stands here with the reason why not.

const fs = require('node:fs');

const FC = require('@alicloud/fc2');
const { assert, test } = require('./fc');

const NEEDS_OSS = 'uploads to, or asks for keys of, a bucket of the official service; `account` tests that it is refused';
// Method, and why no test can see it succeed.
const WITHOUT = {
  getAccountConfigs: NEEDS_OSS,
  getTempBucketToken: NEEDS_OSS,
  getTempCodeBucketPermission: NEEDS_OSS,
  largeFunctionHelper: NEEDS_OSS,
  publishLayerVersionForBigCode: NEEDS_OSS,
  uploadCodeToTmpOssBucket: NEEDS_OSS,
};

test('each method was called with success', () => {
  const called = new Set(fs.readFileSync(process.env.SDK_TESTS_CALLED, 'utf8').split('\n'));
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(new FC('1', { accessKeyID: 'a', accessKeySecret: 'b', region: 'r' })))
    .filter((name) => name !== 'constructor');
  assert.ok(methods.length > 60, `${methods.length} methods`);
  assert.deepEqual(methods.filter((name) => !called.has(name) && !(name in WITHOUT)), [], 'no test saw these succeed');
  assert.deepEqual(Object.keys(WITHOUT).filter((name) => called.has(name)), [], 'these have no need to be excused');
  assert.deepEqual(Object.keys(WITHOUT).filter((name) => !methods.includes(name)), [], 'these are no methods');
});

test('the signature is the documented one', () => {
  // From the published example, so that the client under test is the one that the server's own vectors are of.
  const headers = { date: 'Mon, 02 Jan 2023 15:04:05 GMT', 'x-fc-account-id': '123456' };
  const signed = FC.getSignature('LTAItestAccessKeyId01', 'testAccessKeySecret0123456789ab', 'GET',
    '/2016-08-15/services', headers);
  assert.equal(signed, 'FC LTAItestAccessKeyId01:YVMDqCpqWMoVaaay4zOsZDPc849Qaj4GCuDIbiQE9Tg=');
});
