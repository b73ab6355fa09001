'use strict';
// What every noun stands on: the official client, a record of which of its methods were called, guests, and resources to try them on.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { test: nodeTest } = require('node:test');

const FC = require('@alicloud/fc2');
const { zip } = require('./zip');

const env = (name) => {
  assert.ok(process.env[name], `${name} is not set; run.sh does that`);
  return process.env[name];
};
const URL_OF_SERVER = env('SDK_TESTS_URL');
const KEY_ID = env('SDK_TESTS_KEY_ID');
const SECRET = env('SDK_TESTS_KEY_SECRET');
const ACCOUNT = env('SDK_TESTS_ACCOUNT');
const SIGNED = env('SDK_TESTS_SIGNED') === '1';
const GUESTS = env('SDK_TESTS_GUESTS');
const FILTER = process.env.SDK_TESTS_FILTER ?? '';

const REQUEST_ID = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

const called = new Set();
process.on('exit', () => {
  if (process.env.SDK_TESTS_CALLED) {
    fs.appendFileSync(process.env.SDK_TESTS_CALLED, [...called].map((name) => `${name}\n`).join(''));
  }
});

/** A client of the server under test, as it is; notes each method that came back with an answer instead of an error. */
function client(changes = {}, account = ACCOUNT) {
  const settings = { accessKeyID: KEY_ID, accessKeySecret: SECRET, region: 'any', endpoint: URL_OF_SERVER, timeout: 60000 };
  return new Proxy(new FC(account, { ...settings, ...changes }), {
    get(target, name, proxy) {
      const found = Reflect.get(target, name, target);
      if (typeof found !== 'function' || typeof name !== 'string') return found;
      return (...values) => {
        const answer = found.apply(name === 'request' ? target : proxy, values);
        if (typeof answer?.then !== 'function') {
          called.add(name);
          return answer;
        }
        return answer.then((value) => {
          called.add(name);
          return value;
        });
      };
    },
  });
}

const fc = client();

/** A test that runs if its name is wanted. Options may stand between name and body, as with the runner's own. */
function test(name, ...rest) {
  const body = rest.pop();
  if (name.includes(FILTER)) nodeTest(name, { timeout: 120000, ...rest[0] }, body);
}

let count = 0;
const run = crypto.randomBytes(3).toString('hex');
/** A name that no other test has. */
const unique = (noun) => `js-${noun}-${run}-${++count}`;

/** The binary of an example, or of a bad guest as `bad/NAME`. */
function wasm(guest) {
  return fs.readFileSync(path.join(GUESTS, guest.startsWith('bad/') ? `${guest}.wasm` : `${guest}/${guest}.wasm`));
}

const pack = (guest) => zip({ 'main.wasm': wasm(guest) });
/** Code as the API takes it. */
const code = (guest) => ({ zipFile: pack(guest).toString('base64') });

/** Makes a service; its name. */
async function service(options) {
  const name = unique('service');
  await fc.createService(name, options);
  return name;
}

/** What makes a function of a guest. */
const settings = (name, guest = 'wat-echo', more = {}) => ({
  functionName: name, runtime: 'wasm', handler: 'handle', memorySize: 128, timeout: 10, code: code(guest), ...more,
});

/** Makes a function of a guest; the response. */
const make = (name, functionName = 'f', guest = 'wat-echo', more = {}) =>
  fc.createFunction(name, settings(functionName, guest, more));

/** Makes a service with one function `f`; the service's name. */
async function serviceWith(guest = 'wat-echo', more = {}) {
  const name = await service();
  await make(name, 'f', guest, more);
  return name;
}

/** The call fails with the documented error; what it failed with. `status` and `codes` may be one of several. */
async function refused(status, codes, call) {
  const error = await call().then(
    (answer) => assert.fail(`it was accepted: ${JSON.stringify(answer.data)}`),
    (why) => why,
  );
  const told = /failed with (\d+)\. requestid: (\S+), message: (.*)\.$/s.exec(error.message);
  assert.ok(told, `no error of the service: ${error.stack}`);
  const got = `${told[1]} ${error.code}`;
  const wanted = [status].flat().flatMap((one) => [codes].flat().map((two) => `${one} ${two}`));
  assert.ok(wanted.includes(got), `wanted ${wanted.join(' or ')}, got ${got}: ${error.message}`);
  assert.equal(error.name, `FC${error.code}Error`);
  assert.match(told[2], REQUEST_ID);
  assert.ok(told[3] && told[3] !== 'undefined', 'an error says what is wrong');
  return error;
}

/** The response has what every answer has; its data. */
function told(response) {
  assert.match(response.headers['x-fc-request-id'], REQUEST_ID);
  assert.equal(typeof response.data, 'object', `no JSON: ${response.data}`);
  return response.data;
}

/** The response has a tag; the tag. */
function tagged(response) {
  assert.ok(response.headers.etag, 'no ETag');
  return response.headers.etag;
}

/** Something was removed: no body. */
function removed(response) {
  assert.equal(response.data, '');
  assert.match(response.headers['x-fc-request-id'], REQUEST_ID);
}

/** The record says when it was made and changed, in the documented form. */
function assertMoments(record) {
  assert.match(record.createdTime, MOMENT);
  assert.match(record.lastModifiedTime, MOMENT);
}

/** Looks until there is something, and returns it. */
async function eventually(what, look, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < deadline, `not within ${seconds} s: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Those keys of a record. */
const pick = (record, like) => Object.fromEntries(Object.keys(like).map((key) => [key, record[key]]));

module.exports = {
  ACCOUNT, KEY_ID, REQUEST_ID, SECRET, SIGNED, URL_OF_SERVER, assert, assertMoments, client, code, eventually, fc, make, pack, pick,
  refused, removed, service, serviceWith, settings, tagged, test, told, unique, wasm,
};
