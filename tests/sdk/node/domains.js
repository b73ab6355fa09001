'use strict';
// Custom domains: their records.

const { readFileSync } = require('node:fs');
const { ACCOUNT, SIGNED, assert, assertMoments, fc, pick, refused, removed, test, told, unique } = require('./fc');

const read = (what) => readFileSync(process.env[`SDK_TESTS_${what}`], 'utf8');
const route = { path: '/a/*', serviceName: 's', functionName: 'f', qualifier: 'LATEST' };
const named = () => `${unique('domain')}.example.com`;

test('a new domain has the documented record', async () => {
  const name = named();
  const record = told(await fc.createCustomDomain(name, { routeConfig: { routes: [route] } }));
  const wanted = { domainName: name, protocol: 'HTTP', apiVersion: '2016-08-15' };
  assert.deepEqual(pick(record, wanted), wanted);
  assert.ok(record.accountId);
  if (SIGNED) assert.equal(record.accountId, ACCOUNT);
  assert.deepEqual(pick(record.routeConfig.routes[0], route), route);
  assertMoments(record);
  assert.deepEqual(told(await fc.getCustomDomain(name)), record);
});

test('a change touches what it names', async () => {
  const name = named();
  await fc.createCustomDomain(name, { protocol: 'HTTP', routeConfig: { routes: [route] } });
  const certConfig = { certName: 'c', certificate: read('CERTIFICATE'), privateKey: read('CERTIFICATE_KEY') };
  const changed = told(await fc.updateCustomDomain(name, { protocol: 'HTTP,HTTPS', certConfig }));
  assert.equal(changed.protocol, 'HTTP,HTTPS');
  assert.equal(changed.routeConfig.routes.length, 1);
  assert.equal(changed.certConfig.certName, 'c');
  assert.ok(!JSON.stringify(changed).includes('PRIVATE KEY'), 'a private key is never told');
});

test('they are listed by prefix', async () => {
  const prefix = unique('domain');
  for (const end of 'ba') await fc.createCustomDomain(`${prefix}${end}.example.com`);
  const page = told(await fc.listCustomDomains({ prefix, limit: 1 }));
  assert.deepEqual(page.customDomains.map((one) => one.domainName), [`${prefix}a.example.com`]);
  const rest = told(await fc.listCustomDomains({ prefix, limit: 1, nextToken: page.nextToken }));
  assert.deepEqual(rest.customDomains.map((one) => one.domainName), [`${prefix}b.example.com`]);
});

test('a removed domain is gone', async () => {
  const name = named();
  await fc.createCustomDomain(name);
  await refused([400, 409], 'DomainNameAlreadyExists', () => fc.createCustomDomain(name));
  removed(await fc.deleteCustomDomain(name));
  await refused(404, 'DomainNameNotFound', () => fc.getCustomDomain(name));
  await refused(404, 'DomainNameNotFound', () => fc.updateCustomDomain(name, {}));
  await refused(404, 'DomainNameNotFound', () => fc.deleteCustomDomain(name));
});
