'use strict';
// Tags of services: set, read, filtered by, taken away.

const { assert, fc, refused, service, test, told, unique } = require('./fc');

const tags = async (resourceArn) => (await fc.getResourceTags({ resourceArn })).data.tags;

test('they are set, added to and taken away', async () => {
  const name = await service();
  const arn = `services/${name}`;
  told(await fc.tagResource(arn, { a: '1', b: '2' }));
  await fc.tagResource(arn, { b: '3', c: '' });
  const read = told(await fc.getResourceTags({ resourceArn: arn }));
  assert.deepEqual(read.tags, { a: '1', b: '3', c: '' });
  assert.match(read.resourceArn, new RegExp(`^acs:fc:[^:]*:[^:]*:services/${name}$`));
  assert.deepEqual(await tags(read.resourceArn), read.tags);
  told(await fc.untagResource(arn, ['a']));
  assert.deepEqual(await tags(arn), { b: '3', c: '' });
  await fc.untagResource(arn, [], true);
  assert.deepEqual(await tags(arn), {});
});

test('services are found by them', async () => {
  const [one, other, key] = [await service(), await service(), unique('key')];
  await fc.tagResource(`services/${one}`, { [key]: '1' });
  await fc.tagResource(`services/${other}`, { [key]: '2' });
  const found = async (wanted) => (await fc.listServices({ tags: wanted })).data.services.map((item) => item.serviceName);
  assert.deepEqual(await found({ [key]: '1' }), [one]);
  assert.deepEqual(await found({ [key]: '' }), [one, other].sort());
  assert.deepEqual(await found({ [key]: '3' }), []);
});

test('what is not there has none', async () => {
  await refused(404, 'ServiceNotFound', () => fc.tagResource('services/js-no-such-service', { a: '1' }));
  await refused(404, 'ServiceNotFound', () => fc.getResourceTags({ resourceArn: 'services/js-no-such-service' }));
  await refused(400, 'InvalidArgument', () => fc.getResourceTags());
});
