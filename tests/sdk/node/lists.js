'use strict';
// Lists, page by page: limit, nextToken, prefix, startKey.

const { assert, fc, make, refused, service, test, told, unique } = require('./fc');

/** The names on all pages, and how many pages there were. */
async function walk(listed, plural, key, options) {
  const names = [];
  let pages = 0;
  let nextToken;
  do {
    const page = told(await listed(nextToken === undefined ? { ...options } : { ...options, nextToken }));
    names.push(...page[plural].map((one) => one[key]));
    pages += 1;
    nextToken = page.nextToken ?? undefined;
  } while (nextToken);
  return [names, pages];
}

test('services', async () => {
  const prefix = unique('page');
  const names = [...'abcde'].map((end) => `${prefix}-${end}`);
  for (const name of [...names].reverse()) await fc.createService(name);
  for (const [limit, pages] of [[1, 5], [2, 3], [5, 1], [100, 1]]) {
    assert.deepEqual(await walk((options) => fc.listServices(options), 'services', 'serviceName', { prefix, limit }), [names, pages]);
  }
  const from = await fc.listServices({ prefix, startKey: names[2] });
  assert.deepEqual(from.data.services.map((one) => one.serviceName), names.slice(2));
});

test('functions', async () => {
  const name = await service();
  for (const functionName of 'cab') await make(name, functionName);
  const listed = (options) => fc.listFunctions(name, options);
  assert.deepEqual(await walk(listed, 'functions', 'functionName', { limit: 2 }), [['a', 'b', 'c'], 2]);
  assert.deepEqual(await walk(listed, 'functions', 'functionName', { prefix: 'b' }), [['b'], 1]);
});

test('aliases', async () => {
  const name = await service();
  await fc.publishVersion(name);
  for (const alias of 'cab') await fc.createAlias(name, alias, '1');
  assert.deepEqual(await walk((options) => fc.listAliases(name, options), 'aliases', 'aliasName', { limit: 2 }), [['a', 'b', 'c'], 2]);
});

test('limits out of bounds are refused', async () => {
  for (const limit of [0, 101, -1, 'many']) {
    await refused(400, 'InvalidArgument', () => fc.listServices({ limit }));
  }
});
