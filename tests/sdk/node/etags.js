'use strict';
// ETags: who has not seen the latest is told so.

const { assert, fc, refused, service, serviceWith, tagged, test } = require('./fc');

const match = (tag) => ({ 'if-match': tag });
const WRONG = match('0123456789abcdef0123456789abcdef');

test('of services', async () => {
  const name = await service();
  const first = tagged(await fc.getService(name));
  await refused(412, 'PreconditionFailed', () => fc.updateService(name, { description: 'x' }, WRONG));
  const second = tagged(await fc.updateService(name, { description: 'y' }, match(first)));
  assert.notEqual(second, first);
  await refused(412, 'PreconditionFailed', () => fc.updateService(name, { description: 'z' }, match(first)));
  await refused(412, 'PreconditionFailed', () => fc.publishVersion(name, 'v', WRONG));
  await refused(412, 'PreconditionFailed', () => fc.deleteService(name, match(first)));
  await fc.deleteService(name, match(second));
});

test('of functions, where the client puts it into the query', async () => {
  const name = await serviceWith();
  const first = tagged(await fc.getFunction(name, 'f'));
  const second = tagged(await fc.updateFunction(name, 'f', { description: 'y' }, match(first)));
  await refused(412, 'PreconditionFailed', () => fc.updateFunction(name, 'f', { description: 'z' }, match(first)));
  await refused(412, 'PreconditionFailed', () => fc.deleteFunction(name, 'f', { 'if-match': first }));
  await refused(412, 'PreconditionFailed', () => fc.deleteFunction(name, 'f', {}, match(first)));
  await fc.deleteFunction(name, 'f', { 'if-match': second });
});

test('of triggers', async () => {
  const name = await serviceWith();
  const triggerConfig = { cronExpression: '@every 5m', enable: false, payload: '' };
  await fc.createTrigger(name, 'f', { triggerName: 't', triggerType: 'timer', triggerConfig });
  const first = tagged(await fc.getTrigger(name, 'f', 't'));
  const second = tagged(await fc.updateTrigger(name, 'f', 't', { description: 'y' }, match(first)));
  await refused(412, 'PreconditionFailed', () => fc.updateTrigger(name, 'f', 't', { description: 'z' }, match(first)));
  await refused(412, 'PreconditionFailed', () => fc.deleteTrigger(name, 'f', 't', { 'if-match': first }));
  await fc.deleteTrigger(name, 'f', 't', { 'if-match': second });
});

test('of aliases', async () => {
  const name = await service();
  await fc.publishVersion(name);
  const first = tagged(await fc.createAlias(name, 'prod', '1'));
  const second = tagged(await fc.updateAlias(name, 'prod', '1', { description: 'y' }, match(first)));
  await refused(412, 'PreconditionFailed', () => fc.updateAlias(name, 'prod', '1', { description: 'z' }, match(first)));
  await refused(412, 'PreconditionFailed', () => fc.deleteAlias(name, 'prod', match(first)));
  await fc.deleteAlias(name, 'prod', match(second));
});

test('of many writers one wins', async () => {
  const name = await service();
  const tag = tagged(await fc.getService(name));
  const ends = await Promise.all(Array.from({ length: 8 }, (_, number) =>
    fc.updateService(name, { description: `writer ${number}` }, match(tag)).then(() => 'won', (why) => why.code)));
  assert.deepEqual(ends.sort(), [...Array(7).fill('PreconditionFailed'), 'won']);
});
