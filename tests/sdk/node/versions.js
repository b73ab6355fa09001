'use strict';
// Versions: a service as it was at one moment, whatever happens to the newest.

const { assert, assertMoments, code, fc, pack, refused, removed, service, serviceWith, tagged, test, told } = require('./fc');
const { crc64 } = require('./zip');

const publish = async (name, description) => (await fc.publishVersion(name, description)).data.versionId;

test('a published version has the documented record', async () => {
  const name = await serviceWith();
  const published = await fc.publishVersion(name, 'first');
  const record = told(published);
  tagged(published);
  assert.equal(record.versionId, '1');
  assert.equal(record.description, 'first');
  assertMoments(record);
  assert.deepEqual(told(await fc.listVersions(name)).versions, [record]);
});

test('it keeps code and settings of its moment', async () => {
  const name = await serviceWith('wat-echo', { timeout: 9 });
  assert.equal(await publish(name), '1');
  await fc.updateFunction(name, 'f', { code: code('assemblyscript-upper'), timeout: 8 });
  const wanted = [['1', 'hi', 9, 'wat-echo'], ['LATEST', 'HI', 8, 'assemblyscript-upper']];
  for (const [qualifier, answer, timeout, guest] of wanted) {
    const got = await fc.invokeFunction(name, 'f', 'hi', {}, qualifier);
    assert.equal(got.data, answer);
    assert.equal(got.headers['x-fc-invocation-service-version'], qualifier);
    const record = (await fc.getFunction(name, 'f', {}, qualifier)).data;
    assert.equal(record.timeout, timeout);
    assert.equal(record.codeChecksum, crc64(pack(guest)));
    assert.equal((await fc.getFunctionCode(name, 'f', {}, qualifier)).data.checksum, record.codeChecksum);
  }
});

test('it keeps functions that are removed', async () => {
  const name = await serviceWith();
  await publish(name);
  await fc.deleteFunction(name, 'f');
  assert.equal((await fc.invokeFunction(name, 'f', 'hi', {}, '1')).data, 'hi');
  assert.equal((await fc.listFunctions(name, {}, {}, '1')).data.functions.length, 1);
  assert.deepEqual((await fc.listFunctions(name)).data.functions, []);
});

test('the service of a version is described by the version', async () => {
  const name = await service({ description: 'the service' });
  await publish(name, 'the version');
  assert.equal((await fc.getService(name, {}, '1')).data.description, 'the version');
  assert.equal((await fc.getService(name)).data.description, 'the service');
});

test('nothing new is not published', async () => {
  const name = await serviceWith();
  await publish(name);
  await refused([400, 409], 'VersionPublishError', () => fc.publishVersion(name));
});

test('they are listed newest first or the other way, page by page', async () => {
  const name = await service();
  for (const number of '12345') {
    await fc.updateService(name, { description: `for ${number}` });
    assert.equal(await publish(name), number);
  }
  const ids = async (options) => (await fc.listVersions(name, options)).data.versions.map((one) => one.versionId);
  assert.deepEqual(await ids({}), [...'54321']);
  assert.deepEqual(await ids({ direction: 'FORWARD', startKey: '3' }), [...'345']);
  const page = (await fc.listVersions(name, { limit: 3 })).data;
  assert.deepEqual(await ids({ limit: 3, nextToken: page.nextToken }), [...'21']);
});

test('a removed version is gone and its id is not used again', async () => {
  const name = await serviceWith();
  await publish(name);
  removed(await fc.deleteVersion(name, '1'));
  await refused(404, 'VersionNotFound', () => fc.deleteVersion(name, '1'));
  await refused(404, 'VersionNotFound', () => fc.invokeFunction(name, 'f', 'x', {}, '1'));
  await fc.updateService(name, { description: 'new' });
  assert.equal(await publish(name), '2');
});
