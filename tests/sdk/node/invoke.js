'use strict';
// Invocations: the answer untouched, the documented headers, the tail log, errors of functions, async acceptance.

const { REQUEST_ID, assert, fc, refused, serviceWith, test } = require('./fc');

const tail = (answer) => Buffer.from(answer.headers['x-fc-log-result'], 'base64').toString();
const ASYNC = { 'x-fc-invocation-type': 'Async' };

test('an answer has the documented headers', async () => {
  const name = await serviceWith();
  const { data, headers } = await fc.invokeFunction(name, 'f', 'hi');
  assert.equal(data, 'hi');
  assert.match(headers['x-fc-request-id'], REQUEST_ID);
  assert.equal(headers['x-fc-invocation-service-version'], 'LATEST');
  assert.equal(headers['x-fc-code-checksum'], (await fc.getFunction(name, 'f')).data.codeChecksum);
  assert.match(headers['x-fc-invocation-duration'], /^\d+$/);
  assert.match(headers['x-fc-max-memory-usage'], /^\d+\.\d+$/);
  assert.match(headers['x-fc-instance-id'], /^c-/);
  assert.equal(headers['content-type'], 'application/octet-stream');
  assert.equal(headers['x-fc-error-type'], undefined);
});

test('bytes come back as they went', async () => {
  const name = await serviceWith();
  const bytes = Buffer.from(Array.from({ length: 1024 }, (_, at) => at % 256));
  const answer = await fc.invokeFunction(name, 'f', bytes, {}, undefined, { rawBuf: true });
  assert.ok(bytes.equals(answer.data));
  for (const event of ['h\u00e9llo', '{"a":1}']) {
    assert.equal((await fc.invokeFunction(name, 'f', event)).data, event, 'JSON stays text');
  }
});

test('no event is an empty event', async () => {
  const name = await serviceWith();
  for (const event of [undefined, null, '']) assert.equal((await fc.invokeFunction(name, 'f', event)).data, '');
});

test('the tail has its frame', async () => {
  const name = await serviceWith('rust-event');
  const answer = await fc.invokeFunction(name, 'f', '{"name":"Ann"}', { 'x-fc-log-type': 'Tail' });
  const log = tail(answer);
  const id = answer.headers['x-fc-request-id'];
  for (const part of [`FC Invoke Start RequestId: ${id}\n`, 'greeting Ann', `FC Invoke End RequestId: ${id}\n`, 'Memory Size: 128 MB']) {
    assert.ok(log.includes(part), `${part} is missing: ${log}`);
  }
});

test('errors of functions are answers with a header', async () => {
  const name = await serviceWith('rust-event');
  const handled = await fc.invokeFunction(name, 'f', '{"name":""}');
  assert.equal(handled.headers['x-fc-error-type'], 'HandledInvocationError');
  assert.deepEqual(handled.data, { errorMessage: 'a visitor needs a name', errorType: 'NoName' });
  const crashing = await serviceWith('bad/trap');
  const crashed = await fc.invokeFunction(crashing, 'f', 'x', {}, undefined, { rawBuf: true });
  assert.equal(crashed.headers['x-fc-error-type'], 'UnhandledInvocationError');
  assert.ok(crashed.data.errorMessage);
});

test('a timeout says after how long', async () => {
  const name = await serviceWith('bad/infinite-loop', { timeout: 1 });
  const answer = await fc.invokeFunction(name, 'f', 'x');
  assert.equal(answer.headers['x-fc-error-type'], 'UnhandledInvocationError');
  assert.match(answer.data.errorMessage, /timed out after 1 second/);
});

test('what is accepted has an id and no body', async () => {
  const name = await serviceWith();
  const accepted = await fc.invokeFunction(name, 'f', 'hi', ASYNC);
  assert.equal(accepted.data, '');
  assert.match(accepted.headers['x-fc-request-id'], REQUEST_ID);
  const error = await refused(400, 'InvalidArgument', () => fc.invokeFunction(name, 'f', 'x', { ...ASYNC, 'x-fc-log-type': 'Tail' }));
  assert.match(error.message, /\(allowed: None, actual: 'Tail'\)/);
  await refused(400, 'EntityTooLarge', () => fc.invokeFunction(name, 'f', 'x'.repeat((128 << 10) + 1), ASYNC));
});

test('what is not there is not found', async () => {
  const name = await serviceWith();
  await refused(404, 'ServiceNotFound', () => fc.invokeFunction('js-no-such-service', 'f', 'x'));
  await refused(404, 'FunctionNotFound', () => fc.invokeFunction(name, 'g', 'x'));
  await refused(404, 'VersionNotFound', () => fc.invokeFunction(name, 'f', 'x', {}, '7'));
  await refused(404, 'AliasNotFound', () => fc.invokeFunction(name, 'f', 'x', {}, 'prod'));
  await refused(404, 'AliasNotFound', () => fc.invokeFunction(name, 'f', 'x', ASYNC, 'prod'));
});

test('headers with no such value are refused', async () => {
  const name = await serviceWith();
  await refused(400, 'InvalidArgument', () => fc.invokeFunction(name, 'f', 'x', { 'x-fc-invocation-type': 'Later' }));
  const error = await refused(400, 'InvalidArgument', () => fc.invokeFunction(name, 'f', 'x', { 'x-fc-log-type': 'All' }));
  assert.match(error.message, /LogType is set to an invalid value \(allowed: Tail \| None, actual: 'All'\)/);
});
