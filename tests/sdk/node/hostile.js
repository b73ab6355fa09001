'use strict';
// Calls with values that are missing, of the wrong type, too long or meant to do harm: refused in words, and nothing falls over.

const { assert, fc, make, service, serviceWith, settings, test, unique } = require('./fc');

const LONG = 'x'.repeat(70000);
const VALUES = [7, -1, 1.5, true, [], {}, ['x'], { a: 'b' }, LONG];

/** The call is refused as the caller's mistake, by its values and not for a path that nobody knows. */
async function isRefused(what, call) {
  const error = await call().then(() => assert.fail(`${what} was accepted`), (why) => why);
  assert.match(error.message, /failed with 4\d\d\. requestid: \S+, message: ./, `${what}: ${error.message}`);
  assert.ok(error.code && error.code !== 'PathNotSupported', `${what}: ${error.message}`);
}

const alive = async () => assert.ok((await fc.listServices({ limit: 1 })).data.services);

test('settings of services', async () => {
  for (const [field, type] of [['description', 'string'], ['role', 'string'], ['internetAccess', 'boolean'], ['vpcConfig', 'object']]) {
    for (const value of VALUES) {
      const fits = type === 'object' ? value?.constructor === Object : typeof value === type && value !== LONG;
      if (!fits) await isRefused(`${field} ${String(value).slice(0, 20)}`, () => fc.createService(unique('bad'), { [field]: value }));
    }
  }
  for (const name of [undefined, null, '', 7, 'a b', LONG, '../x']) {
    await isRefused(`name ${name}`.slice(0, 20), () => fc.createService(name));
  }
  await alive();
});

test('settings of functions', async () => {
  const name = await service();
  const bad = {
    functionName: ['', 'a b', 'x'.repeat(65), '../x'], runtime: [undefined, 'cobol'], handler: [undefined, null],
    memorySize: [64, 100, 1 << 30], timeout: [-1, 86401], environmentVariables: ['x', { A: 1 }, { A: LONG }],
    instanceConcurrency: [0, 1000, 'x'], code: [undefined, {}, 'x', { zipFile: '!' }],
  };
  for (const [field, values] of Object.entries(bad)) {
    for (const value of values) {
      await isRefused(`${field} ${String(value).slice(0, 20)}`, () => fc.createFunction(name, { ...settings('f'), [field]: value }));
    }
  }
  await make(name);
  assert.equal((await fc.invokeFunction(name, 'f', 'still')).data, 'still');
});

test('everything that hangs on a function', async () => {
  const name = await serviceWith();
  for (const value of [7, 'x', [], true, LONG]) {
    const what = String(value).slice(0, 20);
    await isRefused(`trigger ${what}`, () => fc.createTrigger(name, 'f', { triggerName: 't', triggerType: 'timer', triggerConfig: value }));
    await isRefused(`retries ${what}`, () => fc.putFunctionAsyncConfig(name, 'f', 'LATEST', { destinationConfig: value }));
    await isRefused(`tags ${what}`, () => fc.tagResource(`services/${name}`, value));
    if (value !== 'x') await isRefused(`domain ${what}`, () => fc.createCustomDomain(value, {}));
    if (value !== 7) {
      await isRefused(`maximum ${what}`, () => fc.putOnDemandConfig(name, 'f', 'LATEST', { maximumInstanceCount: value }));
      await isRefused(`target ${what}`, () => fc.putProvisionConfig(name, 'f', 'LATEST', { target: value }));
    }
    await isRefused(`alias ${what}`, () => fc.createAlias(name, 'prod', value));
  }
  await alive();
});
