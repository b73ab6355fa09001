'use strict';
// Instances: listed while they are there. A shell in one is not to be had.

const { assert, fc, serviceWith, test, told } = require('./fc');

test('one that served is listed', async () => {
  const name = await serviceWith();
  const served = (await fc.invokeFunction(name, 'f', 'hi')).headers['x-fc-instance-id'];
  const { instances } = told(await fc.listInstances(name, 'f', 'LATEST'));
  assert.ok(instances.some((one) => one.instanceId === served && one.versionId === 'LATEST'), JSON.stringify(instances));
  assert.deepEqual(told(await fc.listInstances(name, 'f', 'LATEST', { instanceIds: ['c-nobody'] })).instances, []);
});

test('a shell is refused in words', async () => {
  const name = await serviceWith();
  const served = (await fc.invokeFunction(name, 'f', 'hi')).headers['x-fc-instance-id'];
  const error = await new Promise((resolve, reject) => {
    const hooks = { onError: resolve, onStdout: () => reject(new Error('it answers')) };
    fc.instanceExec(name, 'f', 'LATEST', served, { command: 'ls', tty: false }, hooks).catch(reject);
  });
  assert.ok(error.message && error.message !== 'undefined', 'the refusal has a body that the client can read');
});
