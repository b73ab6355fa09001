'use strict';
// Provision configurations: how many instances are kept warm, and that they are.

const { assert, eventually, fc, make, refused, service, serviceWith, test, told } = require('./fc');

const SCHEDULED = {
  name: 'nightly', startTime: '2020-10-10T10:10:10Z', endTime: '2090-10-10T10:10:10Z', target: 0,
  scheduleExpression: 'cron(0 0 4 * * *)',
};

test('the target is reached and told', async () => {
  const name = await serviceWith();
  const record = told(await fc.putProvisionConfig(name, 'f', 'LATEST', { target: 2 }));
  assert.equal(record.target, 2);
  assert.match(record.resource, new RegExp(`^[^#]+#${name}#LATEST#f$`));
  await eventually('two are warm', async () => (await fc.getProvisionConfig(name, 'f', 'LATEST')).data.current === 2);
  await fc.putProvisionConfig(name, 'f', 'LATEST', { target: 0 });
  await eventually('none is kept', async () => (await fc.getProvisionConfig(name, 'f', 'LATEST')).data.current === 0);
});

test('scheduled actions stay until they are cleared', async () => {
  const name = await serviceWith();
  await fc.putProvisionConfig(name, 'f', 'LATEST', { target: 1, scheduledActions: [SCHEDULED] });
  const kept = told(await fc.putProvisionConfig(name, 'f', 'LATEST', { target: 1 }));
  assert.equal(kept.scheduledActions[0].name, 'nightly');
  const cleared = told(await fc.putProvisionConfig(name, 'f', 'LATEST', { target: 0, scheduledActions: [] }));
  assert.ok(!cleared.scheduledActions?.length);
});

test('they are listed page by page', async () => {
  const name = await service();
  for (const functionName of 'ab') {
    await make(name, functionName);
    await fc.putProvisionConfig(name, functionName, 'LATEST', { target: 1 });
  }
  const page = told(await fc.listProvisionConfigs({ serviceName: name, limit: 1 }));
  const rest = told(await fc.listProvisionConfigs({ serviceName: name, limit: 1, nextToken: page.nextToken }));
  assert.deepEqual([...page.provisionConfigs, ...rest.provisionConfigs].map((one) => one.resource.split('#')[3]), ['a', 'b']);
  assert.ok(!rest.nextToken);
});

test('what makes no target is refused', async () => {
  const name = await serviceWith();
  for (const target of [-1, 10001, 'many']) {
    await refused(400, 'InvalidArgument', () => fc.putProvisionConfig(name, 'f', 'LATEST', { target }));
  }
  await refused(404, 'FunctionNotFound', () => fc.putProvisionConfig(name, 'g', 'LATEST', { target: 1 }));
});
