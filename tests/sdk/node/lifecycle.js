'use strict';
// Hooks of an instance: the initializer runs once before the first event, and shows in the log.

const { assert, fc, serviceWith, test } = require('./fc');

const tail = async (name) => {
  const answer = await fc.invokeFunction(name, 'f', 'x', { 'x-fc-log-type': 'Tail' });
  return Buffer.from(answer.headers['x-fc-log-result'], 'base64').toString();
};

test('an initializer runs once and is in the log', async () => {
  const name = await serviceWith('bad/returned-error', { initializer: 'initialize' });
  const [first, second] = [await tail(name), await tail(name)];
  assert.match(first, /FC Initialize Start RequestId: [\s\S]*initialize\n[\s\S]*FC Initialize End RequestId: [\s\S]*FC Invoke Start/);
  assert.ok(!second.includes('FC Initialize'), second);
});

test('an initializer that fails fails the event', async () => {
  const name = await serviceWith('bad/returned-error', { initializer: 'initialize', environmentVariables: { FAIL_IN: 'initialize' } });
  const answer = await fc.invokeFunction(name, 'f', 'x');
  assert.ok(answer.headers['x-fc-error-type']);
  assert.equal(answer.data.errorType, 'NoDatabase');
});
