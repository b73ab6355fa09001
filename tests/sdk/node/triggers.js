'use strict';
// Triggers: their records. What each source does is the matter of other tests.

const { assert, assertMoments, fc, refused, removed, serviceWith, test, told } = require('./fc');

const TIMER = { payload: 'awesome-fc', cronExpression: '0 5 * * * *', enable: true };
const HTTP = { authType: 'anonymous', methods: ['GET', 'POST'] };
const timer = (name, triggerName = 't', more = {}) =>
  fc.createTrigger(name, 'f', { triggerName, triggerType: 'timer', triggerConfig: TIMER, ...more });

test('a timer has the documented record', async () => {
  const name = await serviceWith();
  const record = told(await timer(name, 't', { description: 'every hour' }));
  assert.deepEqual([record.triggerName, record.triggerType, record.description], ['t', 'timer', 'every hour']);
  assert.deepEqual(record.triggerConfig, TIMER);
  assertMoments(record);
  assert.deepEqual((await fc.getTrigger(name, 'f', 't')).data, record);
});

test('an HTTP trigger has no source', async () => {
  const name = await serviceWith();
  const options = { triggerName: 'h', triggerType: 'http', triggerConfig: HTTP, sourceArn: 'acs:oss:r:1:x', invocationRole: 'r' };
  const record = told(await fc.createTrigger(name, 'f', options));
  assert.deepEqual(record.triggerConfig, HTTP);
  assert.equal(record.sourceArn, null);
});

test('types come in any case', async () => {
  const name = await serviceWith();
  assert.equal((await timer(name, 't', { triggerType: 'Timer' })).data.triggerType, 'timer');
});

test('a source of the event bus needs its header', async () => {
  const name = await serviceWith();
  const triggerConfig = { triggerEnable: true, asyncInvocationType: false, eventRuleFilterPattern: '{}',
    eventSourceConfig: { eventSourceType: 'Default' } };
  const options = { triggerName: 'e', triggerType: 'eventbridge', triggerConfig };
  const headers = { 'x-fc-enable-eventbridge-trigger': 'enable' };
  assert.deepEqual(told(await fc.createTrigger(name, 'f', options, headers)).triggerConfig, triggerConfig);
});

test('a change touches what it names', async () => {
  const name = await serviceWith();
  await timer(name, 't', { description: 'old' });
  const triggerConfig = { ...TIMER, enable: false };
  const changed = told(await fc.updateTrigger(name, 'f', 't', { triggerConfig }));
  assert.deepEqual([changed.triggerConfig, changed.description], [triggerConfig, 'old']);
});

test('they are listed in order, page by page', async () => {
  const name = await serviceWith();
  for (const triggerName of 'cab') await timer(name, triggerName);
  const page = told(await fc.listTriggers(name, 'f', { limit: 2 }));
  const rest = told(await fc.listTriggers(name, 'f', { limit: 2, nextToken: page.nextToken }));
  assert.deepEqual([...page.triggers, ...rest.triggers].map((one) => one.triggerName), ['a', 'b', 'c']);
  assert.ok(!rest.nextToken);
});

test('what makes no trigger is refused', async () => {
  const name = await serviceWith();
  await timer(name);
  await refused(409, 'TriggerAlreadyExists', () => timer(name));
  await refused(400, 'InvalidArgument', () => timer(name, 'x', { triggerType: 'pigeon' }));
  await refused(400, 'InvalidArgument', () => timer(name, 'x', { triggerConfig: 'text' }));
  const options = { triggerName: 't', triggerType: 'timer', triggerConfig: TIMER };
  await refused(404, 'FunctionNotFound', () => fc.createTrigger(name, 'g', options));
});

test('a function with triggers stays, a removed trigger is gone', async () => {
  const name = await serviceWith();
  await timer(name);
  await refused(409, 'FunctionNotEmpty', () => fc.deleteFunction(name, 'f'));
  removed(await fc.deleteTrigger(name, 'f', 't'));
  await refused(404, 'TriggerNotFound', () => fc.getTrigger(name, 'f', 't'));
  await refused(404, 'TriggerNotFound', () => fc.updateTrigger(name, 'f', 't', {}));
  await refused(404, 'TriggerNotFound', () => fc.deleteTrigger(name, 'f', 't'));
  removed(await fc.deleteFunction(name, 'f'));
});
