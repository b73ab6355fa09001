'use strict';
// Functions: made, read, changed in part, their code fetched, removed.

const {
  assert, assertMoments, code, fc, make, pack, pick, refused, removed, service, serviceWith, settings, tagged, test, told,
} = require('./fc');
const { crc64, zip } = require('./zip');

test('a new function has the documented record', async () => {
  const name = await service();
  const content = pack('wat-echo');
  const made = await make(name, 'f', 'wat-echo', { description: 'd', environmentVariables: { A: 'b' } });
  const record = told(made);
  tagged(made);
  const wanted = {
    functionName: 'f', description: 'd', runtime: 'wasm', handler: 'handle', memorySize: 128, timeout: 10,
    initializationTimeout: 3, instanceConcurrency: 1, instanceType: 'e1', environmentVariables: { A: 'b' },
    codeSize: content.length, codeChecksum: crc64(content),
  };
  assert.deepEqual(pick(record, wanted), wanted);
  assert.equal(record.functionId.length, 36);
  assertMoments(record);
  assert.deepEqual((await fc.getFunction(name, 'f')).data, record);
});

test('numbers may come as text, for the client mends that', async () => {
  const name = await serviceWith('wat-echo', { memorySize: '256', timeout: '20', initializationTimeout: '4' });
  const wanted = { memorySize: 256, timeout: 20, initializationTimeout: 4 };
  assert.deepEqual(pick((await fc.getFunction(name, 'f')).data, wanted), wanted);
});

test('settings without effect come back', async () => {
  const wanted = {
    caPort: 9001, cpu: 0.5, diskSize: 512, instanceSoftConcurrency: 1,
    customDNS: { nameServers: ['10.0.0.1'], searches: ['a.b'], dnsOptions: [{ name: 'ndots', value: '1' }] },
    customRuntimeConfig: { command: ['/app'], args: ['x'] },
    customHealthCheckConfig: { httpGetUrl: '/ok', periodSeconds: 3 },
    instanceLifecycleConfig: { preFreeze: { handler: 'a', timeout: 3 }, preStop: { handler: 'b', timeout: 3 } },
  };
  const name = await serviceWith('wat-echo', wanted);
  assert.deepEqual(pick((await fc.getFunction(name, 'f')).data, wanted), wanted);
});

test('a name is taken once', async () => {
  const name = await serviceWith();
  await refused(409, 'FunctionAlreadyExists', () => make(name));
});

test('a change touches what it names', async () => {
  const name = await serviceWith('wat-echo', { environmentVariables: { A: 'b' } });
  const before = await fc.getFunction(name, 'f');
  const changed = await fc.updateFunction(name, 'f', { timeout: 7 });
  assert.notEqual(tagged(changed), tagged(before));
  assert.equal(changed.data.timeout, 7);
  for (const same of ['memorySize', 'environmentVariables', 'codeChecksum', 'functionId', 'createdTime']) {
    assert.deepEqual(changed.data[same], before.data[same], same);
  }
});

test('the environment is replaced as a whole', async () => {
  const name = await serviceWith('wat-echo', { environmentVariables: { A: '1', B: '2' } });
  const update = async (environmentVariables) =>
    (await fc.updateFunction(name, 'f', { environmentVariables })).data.environmentVariables;
  assert.deepEqual(await update({ C: '3' }), { C: '3' });
  assert.deepEqual(await update({}), {});
});

test('new code is what runs', async () => {
  const name = await serviceWith('wat-echo');
  const changed = await fc.updateFunction(name, 'f', { code: code('assemblyscript-upper') });
  assert.equal(changed.data.codeChecksum, crc64(pack('assemblyscript-upper')));
  assert.equal((await fc.invokeFunction(name, 'f', 'hi')).data, 'HI');
});

test('code can be fetched without a key', async () => {
  const name = await serviceWith();
  const link = told(await fc.getFunctionCode(name, 'f'));
  assert.equal(link.checksum, crc64(pack('wat-echo')));
  const fetched = await fetch(link.url);
  assert.equal(fetched.status, 200);
  assert.deepEqual(Buffer.from(await fetched.arrayBuffer()), pack('wat-echo'));
});

test('what is no WebAssembly is refused', async () => {
  const name = await service();
  const broken = { text: Buffer.from('no zip'), empty: zip({}), python: zip({ 'a.py': Buffer.from('x = 1') }) };
  for (const [what, content] of Object.entries(broken)) {
    const options = { ...settings('f'), code: { zipFile: content.toString('base64') } };
    await refused(400, 'InvalidArgument', () => fc.createFunction(name, options), what);
  }
  await refused(400, 'InvalidArgument', () => fc.createFunction(name, { ...settings('f'), code: { zipFile: 'no base64 !' } }));
});

test('an image is not code', async () => {
  const name = await service();
  const options = { functionName: 'f', runtime: 'custom-container', handler: 'h', customContainerConfig: { image: 'r.example/a:1' } };
  await refused(400, 'InvalidArgument', () => fc.createFunction(name, options));
});

test('a removed function is gone', async () => {
  const name = await serviceWith();
  removed(await fc.deleteFunction(name, 'f'));
  await refused(404, 'FunctionNotFound', () => fc.getFunction(name, 'f'));
  await refused(404, 'FunctionNotFound', () => fc.deleteFunction(name, 'f'));
  await refused(404, 'FunctionNotFound', () => fc.updateFunction(name, 'f', {}));
  await refused(404, 'FunctionNotFound', () => fc.getFunctionCode(name, 'f'));
});

test('they are listed in order', async () => {
  const name = await service();
  for (const functionName of ['c', 'a', 'b']) await make(name, functionName);
  const page = told(await fc.listFunctions(name));
  assert.deepEqual(page.functions.map((one) => one.functionName), ['a', 'b', 'c']);
  await refused(404, 'ServiceNotFound', () => fc.listFunctions('js-no-such-service'));
});
