'use strict';
// Stateful async invocations, through the client's own `get` and `put`: it has no methods of their names.

const { assert, eventually, fc, refused, serviceWith, test, told, unique } = require('./fc');

const start = (name, task, event = 'hi') => fc.invokeFunction(name, 'f', event, {
  'x-fc-invocation-type': 'Async', 'x-fc-stateful-async-invocation-enable': 'true', 'x-fc-stateful-async-invocation-id': task,
});
const path = (name, task) => `/services/${name}/functions/f/stateful-async-invocations${task ? `/${task}` : ''}`;
const record = async (name, task) => told(await fc.get(path(name, task)));
const reaches = (name, task, status) => eventually(`${task} is ${status}`, async () => (await record(name, task)).status === status);

test('one runs and is told of', async () => {
  const [name, task] = [await serviceWith(), unique('task')];
  const accepted = await start(name, task);
  assert.equal(accepted.headers['x-fc-stateful-async-invocation-id'], task);
  await reaches(name, task, 'Succeeded');
  assert.equal((await record(name, task)).requestId, accepted.headers['x-fc-request-id']);
  const listed = told(await fc.get(path(name), { includePayload: true, status: 'Succeeded' }));
  assert.deepEqual(listed.invocations.map((one) => [one.invocationId, one.invocationPayload]), [[task, 'hi']]);
  await refused(409, 'StatefulAsyncInvocationAlreadyExists', () => start(name, task));
});

test('a running one is stopped', async () => {
  const [name, task] = [await serviceWith('bad/sleeper', { timeout: 60 }), unique('task')];
  await start(name, task);
  await reaches(name, task, 'Running');
  told(await fc.put(path(name, task), {}));
  await reaches(name, task, 'Stopped');
  await refused(400, 'InvalidArgument', () => fc.put(path(name, task), {}));
  await refused(404, 'StatefulAsyncInvocationNotFound', () => fc.put(path(name, 'nobody'), {}));
});
