'use strict';
// On-demand configurations: how many instances there may be at most, and that there are no more.

const { assert, fc, refused, removed, serviceWith, tagged, test, told } = require('./fc');

test('one has the documented record', async () => {
  const name = await serviceWith();
  const put = await fc.putOnDemandConfig(name, 'f', 'LATEST', { maximumInstanceCount: 10 });
  const record = told(put);
  assert.deepEqual(record, { resource: `services/${name}.LATEST/functions/f`, maximumInstanceCount: 10 });
  assert.deepEqual(told(await fc.getOnDemandConfig(name, 'f', 'LATEST')), record);
  await refused(412, 'PreconditionFailed', () =>
    fc.putOnDemandConfig(name, 'f', 'LATEST', { maximumInstanceCount: 1 }, { 'if-match': 'stale' }));
  await fc.putOnDemandConfig(name, 'f', 'LATEST', { maximumInstanceCount: 1 }, { 'if-match': tagged(put) });
});

test('they are listed and removed', async () => {
  const name = await serviceWith();
  await fc.putOnDemandConfig(name, 'f', 'LATEST', { maximumInstanceCount: 2 });
  const listed = told(await fc.listOnDemandConfigs({ prefix: `services/${name}`, limit: 100 }));
  assert.ok(listed.configs.some((one) => one.resource === `services/${name}.LATEST/functions/f`));
  removed(await fc.deleteOnDemandConfig(name, 'f', 'LATEST'));
  await refused(404, 'OnDemandConfigNotFound', () => fc.getOnDemandConfig(name, 'f', 'LATEST'));
  await refused(404, 'OnDemandConfigNotFound', () => fc.deleteOnDemandConfig(name, 'f', 'LATEST'));
});

test('more at once than allowed are refused', async () => {
  const name = await serviceWith('bad/sleeper', { timeout: 3 });
  await fc.putOnDemandConfig(name, 'f', 'LATEST', { maximumInstanceCount: 1 });
  const ends = await Promise.all(Array.from({ length: 6 }, () =>
    fc.invokeFunction(name, 'f', 'x').then((answer) => answer.headers['x-fc-error-type'], (why) => why.code)));
  assert.ok(ends.includes('UnhandledInvocationError'), `one ran, and timed out as it should: ${ends}`);
  assert.ok(ends.includes('ResourceExhausted'), `${ends}`);
});
