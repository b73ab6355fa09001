'use strict';
// Aliases: names for versions, with the share of requests that an alias gives to others measured.

const { assert, assertMoments, code, fc, refused, removed, serviceWith, tagged, test, told } = require('./fc');

/** Makes a service with version 1, which echoes, and version 2, which answers in capitals. */
async function versions() {
  const name = await serviceWith('wat-echo');
  await fc.publishVersion(name);
  await fc.updateFunction(name, 'f', { code: code('assemblyscript-upper') });
  await fc.publishVersion(name);
  return name;
}

const invoke = (name) => fc.invokeFunction(name, 'f', 'hi', {}, 'prod');

test('a new alias has the documented record', async () => {
  const name = await versions();
  const made = await fc.createAlias(name, 'prod', '1', { description: 'd', additionalVersionWeight: { 2: 0.25 } });
  const record = told(made);
  tagged(made);
  assert.deepEqual([record.aliasName, record.versionId, record.description], ['prod', '1', 'd']);
  assert.deepEqual(record.additionalVersionWeight, { 2: 0.25 });
  assertMoments(record);
  assert.deepEqual((await fc.getAlias(name, 'prod')).data, record);
  assert.deepEqual((await fc.listAliases(name)).data.aliases, [record]);
});

test('calls go where it points', async () => {
  const name = await versions();
  await fc.createAlias(name, 'prod', '1');
  assert.equal((await invoke(name)).data, 'hi');
  const changed = await fc.updateAlias(name, 'prod', '2');
  assert.equal(changed.data.versionId, '2');
  const answer = await invoke(name);
  assert.equal(answer.data, 'HI');
  assert.equal(answer.headers['x-fc-invocation-service-version'], '2');
});

test('a weight is the share of requests', async () => {
  // 400 calls with a share of 0.3 give 120 with a deviation of 9: five of them either way are one failure in two million.
  const name = await versions();
  await fc.createAlias(name, 'prod', '1', { additionalVersionWeight: { 2: 0.3 } });
  let second = 0;
  for (let call = 0; call < 400; call++) {
    const answer = await invoke(name);
    const version = answer.headers['x-fc-invocation-service-version'];
    assert.equal(answer.data, { 1: 'hi', 2: 'HI' }[version]);
    if (version === '2') second += 1;
  }
  assert.ok(second >= 74 && second <= 166, `${second} of 400`);
});

test('a change touches what it names', async () => {
  const name = await versions();
  await fc.createAlias(name, 'prod', '1', { description: 'old', additionalVersionWeight: { 2: 0.5 } });
  const changed = (await fc.updateAlias(name, 'prod', null, { description: 'new' })).data;
  assert.deepEqual([changed.versionId, changed.description], ['1', 'new']);
  assert.deepEqual(changed.additionalVersionWeight, { 2: 0.5 });
});

test('what makes no alias is refused', async () => {
  const name = await versions();
  await fc.createAlias(name, 'prod', '1');
  await refused(409, 'AliasAlreadyExists', () => fc.createAlias(name, 'prod', '2'));
  await refused(404, 'VersionNotFound', () => fc.createAlias(name, 'other', '7'));
  await refused(400, 'InvalidArgument', () => fc.createAlias(name, 'LATEST', '1'));
  await refused(400, 'InvalidArgument', () => fc.createAlias(name, 'other', '1', { additionalVersionWeight: { 2: 2 } }));
});

test('a removed alias is gone', async () => {
  const name = await versions();
  await fc.createAlias(name, 'prod', '1');
  removed(await fc.deleteAlias(name, 'prod'));
  await refused(404, 'AliasNotFound', () => fc.getAlias(name, 'prod'));
  await refused(404, 'AliasNotFound', () => fc.deleteAlias(name, 'prod'));
  await refused(404, 'AliasNotFound', () => fc.updateAlias(name, 'prod', '1'));
});
