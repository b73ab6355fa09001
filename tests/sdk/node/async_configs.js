'use strict';
// Configurations of async invocations: retries, age, destinations.

const { assert, assertMoments, fc, pick, refused, removed, serviceWith, test, told } = require('./fc');

test('a new configuration has the documented record', async () => {
  const [name, other] = [await serviceWith(), await serviceWith()];
  const destination = `acs:fc:any:1:services/${other}/functions/f`;
  const config = {
    destinationConfig: { onSuccess: { destination }, onFailure: { destination } },
    maxAsyncEventAgeInSeconds: 100, maxAsyncRetryAttempts: 1, statefulInvocation: true,
  };
  const record = told(await fc.putFunctionAsyncConfig(name, 'f', 'LATEST', { ...config }));
  assert.deepEqual(pick(record, config), config);
  assert.deepEqual([record.service, record.function, record.qualifier], [name, 'f', 'LATEST']);
  assertMoments(record);
  assert.deepEqual(told(await fc.getFunctionAsyncConfig(name, 'f', 'LATEST')), record);
  assert.deepEqual(told(await fc.getFunctionAsyncConfig(name, 'f')), record, 'no qualifier is the newest');
  const listed = told(await fc.listFunctionAsyncConfigs(name, 'f'));
  assert.equal(listed.configs.length, 1);
  assert.equal(listed.nextToken, '');
});

test('what is not set is null, and the next one replaces it all', async () => {
  const name = await serviceWith();
  await fc.putFunctionAsyncConfig(name, 'f', 'LATEST', { maxAsyncRetryAttempts: 1 });
  const record = told(await fc.putFunctionAsyncConfig(name, 'f', 'LATEST', { maxAsyncEventAgeInSeconds: 200 }));
  assert.deepEqual([record.maxAsyncRetryAttempts, record.maxAsyncEventAgeInSeconds], [null, 200]);
});

test('values out of bounds are refused', async () => {
  const name = await serviceWith();
  for (const config of [{ maxAsyncRetryAttempts: 9 }, { maxAsyncEventAgeInSeconds: 604801 }, { maxAsyncRetryAttempts: 'x' }]) {
    await refused(400, 'InvalidArgument', () => fc.putFunctionAsyncConfig(name, 'f', 'LATEST', config));
  }
});

test('a removed configuration is gone', async () => {
  const name = await serviceWith();
  await fc.putFunctionAsyncConfig(name, 'f', 'LATEST', { maxAsyncRetryAttempts: 1 });
  removed(await fc.deleteFunctionAsyncConfig(name, 'f', 'LATEST'));
  await refused(404, 'AsyncConfigNotExists', () => fc.getFunctionAsyncConfig(name, 'f', 'LATEST'));
  await refused(404, 'AsyncConfigNotExists', () => fc.deleteFunctionAsyncConfig(name, 'f', 'LATEST'));
});
