'use strict';
// Layers: zips that functions share, in versions.

const { assert, fc, make, refused, removed, service, test, told, unique } = require('./fc');
const { crc64, zip } = require('./zip');

const CONTENT = zip({ 'lib/words.txt': Buffer.from('hello from a layer') });
const publish = (name, more = {}) => fc.publishLayerVersion(name, {
  code: { zipFile: CONTENT.toString('base64') }, description: 'words', compatibleRuntime: ['wasm'], ...more,
});

test('a published layer has the documented record', async () => {
  const name = unique('layer');
  const made = told(await publish(name));
  assert.deepEqual([made.layerName, made.version, made.description], [name, 1, 'words']);
  assert.deepEqual(made.compatibleRuntime, ['wasm']);
  assert.equal(made.codeChecksum, crc64(CONTENT));
  assert.equal(made.codeSize, CONTENT.length);
  assert.match(made.arnV2, new RegExp(`^acs:fc:[^:]*:[^:]*:layers/${name}/versions/1$`));
  const record = told(await fc.getLayerVersion(name, 1));
  assert.deepEqual([record.layerName, record.version, record.acl], [name, 1, 0]);
  const fetched = await fetch(record.code.location);
  assert.deepEqual(Buffer.from(await fetched.arrayBuffer()), CONTENT);
  assert.equal(told(await fc.getLayerVersionByArn(record.arnV2)).layerName, name);
  assert.equal(told(await fc.getLayerVersionByArn(record.arn)).layerName, name);
});

test('versions rise, and both lists tell', async () => {
  const name = unique('layer');
  for (const version of [1, 2]) assert.equal((await publish(name)).data.version, version);
  const listed = told(await fc.listLayerVersions(name));
  assert.deepEqual(listed.layers.map((one) => one.version).sort(), [1, 2]);
  const latest = told(await fc.listLayers({ prefix: name }));
  assert.deepEqual(latest.layers.map((one) => [one.layerName, one.version]), [[name, 2]]);
});

test('a layer may be for everybody', async () => {
  const name = unique('layer');
  await publish(name);
  told(await fc.putLayerACL(name, { public: true }));
  assert.equal(told(await fc.getLayerVersion(name, 1)).acl, 1);
  await fc.putLayerACL(name, { public: 'false' });
  assert.equal(told(await fc.getLayerVersion(name, 1)).acl, 0);
});

test('a removed version is gone', async () => {
  const name = unique('layer');
  await publish(name);
  removed(await fc.deleteLayerVersion(name, 1));
  await refused(404, ['LayerNotFound', 'LayerVersionNotFound'], () => fc.getLayerVersion(name, 1));
  await refused(404, ['LayerNotFound', 'LayerVersionNotFound'], () => fc.getLayerVersion('js-no-such-layer', 1));
});

test('what makes no layer is refused', async () => {
  await refused(400, 'InvalidArgument', () => publish('1 bad name'.replaceAll(' ', '%20')));
  await refused(400, 'InvalidArgument', () => publish(unique('layer'), { code: { zipFile: 'AAAA' } }));
  await refused(400, 'InvalidArgument', () => publish(unique('layer'), { code: undefined }));
  await refused(400, 'InvalidArgument', () => publish(unique('layer'), { description: 'x'.repeat(257) }));
});

test('a function names its layers', async () => {
  const layer = (await publish(unique('layer'))).data.arnV2;
  const name = await service();
  await make(name, 'f', 'wat-echo', { layers: [layer] });
  assert.deepEqual((await fc.getFunction(name, 'f')).data.layers, [layer]);
  assert.equal((await fc.invokeFunction(name, 'f', 'hi')).data, 'hi');
  await refused([400, 404], ['InvalidArgument', 'LayerNotFound', 'LayerVersionNotFound'], () =>
    make(name, 'g', 'wat-echo', { layers: ['acs:fc:any:1:layers/js-no-such-layer/versions/1'] }));
});
