'use strict';
// Services: made, read, changed in part, removed.

const { assert, assertMoments, fc, pick, refused, removed, service, serviceWith, tagged, test, told, unique } = require('./fc');

const NETWORK = { vpcId: 'vpc-1', vSwitchIds: ['vsw-1'], securityGroupId: 'sg-1' };
const TRACING = { type: 'Jaeger', params: { endpoint: 'http://127.0.0.1/api/traces' } };

test('a new service has the documented record', async () => {
  const name = unique('service');
  const made = await fc.createService(name, { description: 'what it is for' });
  const record = told(made);
  tagged(made);
  assert.equal(record.serviceName, name);
  assert.equal(record.description, 'what it is for');
  assert.equal(record.serviceId.length, 36);
  assert.equal(record.role, '');
  assert.equal(record.internetAccess, true);
  assert.equal(record.logConfig.project, '');
  assertMoments(record);
  assert.deepEqual((await fc.getService(name)).data, record);
});

test('settings without effect come back', async () => {
  const wanted = { role: 'acs:ram::1:role/r', internetAccess: false, vpcConfig: NETWORK, tracingConfig: TRACING };
  const logConfig = { project: 'p', logstore: 'l', enableRequestMetrics: true };
  const name = await service({ ...wanted, logConfig });
  const record = (await fc.getService(name)).data;
  assert.deepEqual(pick(record, wanted), wanted);
  assert.deepEqual(pick(record.logConfig, logConfig), logConfig);
});

test('a name is taken once', async () => {
  const name = await service();
  const error = await refused(409, 'ServiceAlreadyExists', () => fc.createService(name));
  assert.match(error.message, new RegExp(`service '${name}' already exists`));
});

test('a change touches what it names', async () => {
  const name = await service({ description: 'old', role: 'r' });
  const before = await fc.getService(name);
  const changed = await fc.updateService(name, { description: 'new' });
  assert.notEqual(tagged(changed), tagged(before));
  assert.deepEqual(pick(changed.data, { description: 0, role: 0 }), { description: 'new', role: 'r' });
  assert.equal(changed.data.serviceId, before.data.serviceId);
  assert.equal((await fc.updateService(name, { description: '' })).data.description, '');
  assert.equal((await fc.updateService(name)).data.role, 'r');
});

test('the newest can be named', async () => {
  const name = await service({ description: 'd' });
  assert.equal((await fc.getService(name, {}, 'LATEST')).data.description, 'd');
});

test('a removed service is gone', async () => {
  const name = await service();
  removed(await fc.deleteService(name));
  const error = await refused(404, 'ServiceNotFound', () => fc.getService(name));
  assert.match(error.message, new RegExp(`service '${name}' does not exist`));
  await refused(404, 'ServiceNotFound', () => fc.updateService(name, { description: 'x' }));
  await refused(404, 'ServiceNotFound', () => fc.deleteService(name));
});

test('one that holds functions stays', async () => {
  const name = await serviceWith();
  await refused(409, 'ServiceNotEmpty', () => fc.deleteService(name));
  removed(await fc.deleteFunction(name, 'f'));
  removed(await fc.deleteService(name));
});

test('they are listed in order', async () => {
  const prefix = unique('list');
  for (const end of 'bca') await fc.createService(`${prefix}-${end}`);
  const page = told(await fc.listServices({ prefix }));
  assert.deepEqual(page.services.map((one) => one.serviceName), [...'abc'].map((end) => `${prefix}-${end}`));
  assert.ok(!page.nextToken);
});
