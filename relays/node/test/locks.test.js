'use strict';

// Every lock, tried. Each attack has its control: the same request without the attack passes.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { test, before, after } = require('node:test');
const { lab, Relay, keyPair, latin1, readAnswer, EMPTY } = require('./lab');
const { Nonces, checkClock } = require('../locks');
const { Failure } = require('../failure');

let it;
before(async () => { it = await lab(); });
after(() => it.close());

const BODY = latin1('amount=1');
const POST = { method: 'POST', fields: [['Content-Length', ' 8']] };
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

const signed = (call = {}, content = EMPTY, options = {}) => it.gateway.request({ port: it.plain.port, ...call }, content, options);

async function passes(bytes, http, relay = it.relay) {
  it.plain.says(OK);
  const answer = readAnswer(await relay.post(bytes, http));
  assert.equal(answer.content.toString(), 'ok', answer.err?.detail);
}

// Refused without a word, and no connection to the provider was made.
async function isRefused(bytes, http) {
  const before_ = it.plain.connections;
  const { status, body } = await it.relay.post(bytes, http);
  assert.deepEqual([status, body.toString()], [403, 'refused\n']);
  assert.equal(it.plain.connections, before_);
}

async function isErr(code, bytes, relay = it.relay) {
  const before_ = it.plain.connections;
  const { err } = readAnswer(await relay.post(bytes));
  assert.deepEqual([err?.stage, err?.code], ['before_send', code]);
  assert.ok(Math.abs(Number(err.now) - Date.now()) < 60_000);
  assert.equal(it.plain.connections, before_);
  return err;
}

test('an unsigned request is refused', async () => {
  const bytes = signed();
  const size = bytes.readUInt32BE(6);
  const unsigned = Buffer.concat([bytes.subarray(0, 10 + size), Buffer.alloc(64), bytes.subarray(74 + size)]);
  await isRefused(unsigned);
  await isRefused(bytes.subarray(0, 10 + size));
  await passes(bytes);
});

test('every altered byte of the signed part is refused', async () => {
  const bytes = signed(POST, BODY);
  const size = bytes.readUInt32BE(6);
  // Every place once would take long; these fall into each of the values.
  for (let at = 0; at < 74 + size; at += 3) {
    const altered = Buffer.from(bytes);
    altered[at] ^= 1;
    await isRefused(altered);
  }
  await passes(bytes);
});

test('a signature of another key, and a key that is not known', async () => {
  const { privateKey } = keyPair();
  await isRefused(signed({}, EMPTY, { privateKey }));
  await isRefused(signed({ key: 'k2' }));
  await isRefused(signed({ key: '' }));
  await passes(signed());
});

test('a signature over something else than the prefix of calls', async () => {
  const bytes = signed();
  const size = bytes.readUInt32BE(6);
  const bare = crypto.sign(null, bytes.subarray(0, 10 + size), it.keys.privateKey);
  await isRefused(Buffer.concat([bytes.subarray(0, 10 + size), bare]));
  await passes(bytes);
});

test('requests that are none', async () => {
  const bytes = signed();
  await isRefused(EMPTY);
  await isRefused(latin1('BYWR'));
  await isRefused(latin1('QllXU'));
  await isRefused(bytes.subarray(0, 40));
  await isRefused(bytes, { method: 'PUT' });
  await isRefused(EMPTY, { method: 'GET' });
  await passes(bytes, { path: '/any/path?and=query' });
});

test('Base64 that is not exactly Base64', async () => {
  const text = signed().toString('base64');
  const plain = { headers: { 'Content-Type': 'text/plain' } };
  for (const bad of [`${text}\n`, ` ${text}`, text.replace(/=+$/, ''), text.replace('A', '-'), `${text.slice(0, 40)}\r\n${text.slice(40)}`]) {
    if (bad !== text) await isRefused(latin1(bad), plain);
  }
  const answer = await it.relay.post(latin1(text), plain);
  assert.equal(answer.status, 200);
});

test('a signed part that is too long', async () => {
  // 10 of the length and 64 of the signature are no part of it.
  const room = 163_840 - (signed({ target: '/' }).length - 74 - 1);
  await isRefused(signed({ target: `/${'a'.repeat(room)}` }));
  await passes(signed({ target: `/${'a'.repeat(room - 1)}` }));
});

test('a signed request of another version or kind is answered, an unsigned one refused', async () => {
  const bytes = signed();
  const resign = (at, value) => {
    const size = bytes.readUInt32BE(6);
    const begin = Buffer.from(bytes.subarray(0, 10 + size));
    begin[at] = value;
    return Buffer.concat([begin, crypto.sign(null, Buffer.concat([latin1('byway relay call\0'), begin]), it.keys.privateKey)]);
  };
  await isErr('malformed', resign(4, 2));
  await isErr('malformed', resign(5, 3));
  await passes(resign(4, 1));
});

test('signed nonsense', async () => {
  await isErr('malformed', signed({ method: 'GE T' }));
  await isErr('malformed', signed({ target: '/a b' }));
  await isErr('malformed', signed({ target: '/a\x7f' }));
  await isErr('malformed', signed({ target: '/a\r\nX: 1' }));
  await isErr('malformed', signed({ target: '' }));
  await isErr('malformed', signed({ host: '' }));
  await isErr('malformed', signed({ version: 20 }));
  await isErr('malformed', signed({ method: 'CONNECT' }));
  await passes(signed());
});

test('a request whose body would not end where its head says', async () => {
  const post = (fields, more = {}) => signed({ method: 'POST', fields, ...more }, BODY);
  await isErr('malformed', post([['Content-Length', ' 7']]));
  await isErr('malformed', post([]));
  await isErr('malformed', post([['Content-Length', ' 8'], ['Transfer-Encoding', ' chunked']]));
  await isErr('malformed', post([['Content-Length', ' 8'], ['content-length', ' 8']]));
  await isErr('malformed', post([['Transfer-Encoding', ' gzip']]));
  await isErr('malformed', post([['Transfer-Encoding', ' chunked']], { version: 10 }));
  await isErr('malformed', post([['Content-Length', ' 8']], { trailers: [['X', ' 1']] }));
  await passes(post([['Content-Length', ' 8']]));
});

test('an altered body', async () => {
  await isErr('altered', signed(POST, BODY, { sent: latin1('amount=9') }));
  await isErr('altered', signed(POST, BODY, { sent: latin1('amount=11') }));
  await isErr('altered', signed(POST, BODY, { sent: EMPTY }));
  await passes(signed(POST, BODY));
});

test('a replayed call', async () => {
  const bytes = signed();
  await passes(bytes);
  await isErr('replayed', bytes);
  const nonce = crypto.randomBytes(16);
  await passes(signed({ nonce }));
  await isErr('replayed', signed({ nonce, target: '/other' }));
  await passes(signed());
});

test('a call that is expired, from the future, or valid for too long', async () => {
  const now = Date.now();
  await isErr('clock_skew', signed({}, EMPTY, { created: now - 31_000 }));
  await isErr('clock_skew', signed({}, EMPTY, { created: now - 10_000, lifetime: 5000 }));
  await isErr('clock_skew', signed({}, EMPTY, { created: now + 120_000 }));
  await isErr('clock_skew', signed({}, EMPTY, { lifetime: 30_001 }));
  await isErr('clock_skew', signed({}, EMPTY, { created: now + 20_000, lifetime: -1000 }));
  await passes(signed({}, EMPTY, { created: now - 20_000 }));
  await passes(signed({}, EMPTY, { created: now + 20_000 }));
});

test('the clock to the millisecond', () => {
  const call = { created: 1_000_000n, expires: 1_030_000n };
  const at = (now) => () => checkClock(call, now);
  assert.throws(at(969_999), Failure);
  assert.doesNotThrow(at(970_000));
  assert.doesNotThrow(at(1_029_999));
  assert.throws(at(1_030_000), Failure);
});

test('a call for another relay', async () => {
  await isErr('wrong_audience', signed({ relay: 'gcf-2' }));
  await isErr('wrong_audience', signed({ relay: '' }));
  await passes(signed({ relay: 'gcf-1' }));
});

test('a lock that is not passed hides those behind it', async () => {
  const bad = { relay: 'gcf-2', host: 'elsewhere.test', nonce: crypto.randomBytes(16) };
  await isErr('wrong_audience', signed(bad, EMPTY, { created: 0 }));
  // The nonce was not used up by a call that did not get so far.
  await passes(signed({ nonce: bad.nonce }));
});

test('a destination that is not in the allow-list', async () => {
  await isErr('not_allowed', signed({ host: 'elsewhere.test' }));
  await isErr('not_allowed', signed({ port: 1 }));
  await isErr('not_allowed', signed({ host: '127.0.0.2' }));
  await isErr('not_allowed', signed({ host: '127.1' }));
  await isErr('not_allowed', signed({ host: 'localhost', port: 1, pinned: Buffer.from([127, 0, 0, 1]) }));
  await passes(signed({ host: 'LOCALHOST.', pinned: Buffer.from([127, 0, 0, 1]) }));
});

test('an address that is not public, unless its network is named', async () => {
  const strict = await new Relay({ ...it.config, networks: undefined }).start();
  await isErr('destination_forbidden', signed({ host: 'localhost' }), strict);
  await isErr('destination_forbidden', signed({ host: '127.0.0.1' }), strict);
  await isErr('destination_forbidden', signed({ host: 'localhost', pinned: Buffer.from([127, 0, 0, 1]) }), strict);
  await strict.stop();
  // The network that is named here is 127.0.0.0/8, and no other one.
  await isErr('destination_forbidden', signed({ host: 'localhost', pinned: Buffer.from([169, 254, 169, 254]) }));
  const mapped = Buffer.from('00000000000000000000ffff7f000001', 'hex');
  await isErr('destination_forbidden', signed({ host: 'localhost', pinned: mapped }));
  await passes(signed({ host: 'localhost' }));
  await passes(signed({ host: '127.0.0.1' }));
});

test('methods that change something, where replay is not accepted', async () => {
  const careful = await new Relay({ ...it.config, accept_replay: undefined }).start();
  await isErr('unsafe_method', signed(POST, BODY), careful);
  await isErr('unsafe_method', signed({ method: 'get' }), careful);
  await passes(signed(), undefined, careful);
  await careful.stop();
  await passes(signed(POST, BODY));
});

test('a body that is too large', async () => {
  const post = (size) => signed({ method: 'POST', fields: [['Content-Length', ` ${size}`]] }, Buffer.alloc(size, 'a'));
  await isErr('request_too_large', post(10_000_001));
  it.plain.says(OK, 'a'.repeat(16));
  const answer = readAnswer(await it.relay.post(post(10_000_000)));
  assert.equal(answer.err, null, answer.err?.detail);
});

test('the memory of nonces is bounded, and forgets', () => {
  const nonces = new Nonces(3);
  const use = (byte, now, kept = 100) => nonces.use(Buffer.alloc(16, byte), kept, now);
  const code = (wanted) => (error) => error instanceof Failure && error.code === wanted;
  use(1, 0, 50);
  use(2, 0);
  use(3, 0);
  assert.throws(() => use(4, 10), code('busy'));
  assert.throws(() => use(1, 49), code('replayed'));
  use(4, 50);
  assert.throws(() => use(2, 60), code('replayed'));
  assert.throws(() => use(5, 99), code('busy'));
  use(2, 100);
});

test('a ping says who answers, and goes through the same locks', async () => {
  const pong = async () => readAnswer(await it.relay.post(it.gateway.ping())).pong;
  const first = await pong();
  assert.deepEqual([first.oldest, first.newest, first.relay, first.stack], [1, 1, 'gcf-1', 2]);
  assert.deepEqual(first.keys, ['k1']);
  assert.match(first.software, /^byway-relay-node\//);
  assert.deepEqual([...first.exit], [203, 0, 113, 7]);
  const lines = [...it.config.allow, ...it.config.networks].sort().map((line) => `${line}\n`).join('');
  assert.ok(first.allowDigest.equals(crypto.createHash('sha256').update(lines).digest()));
  const size = it.gateway.ping().readUInt32BE(6);
  const altered = it.gateway.ping();
  altered[9 + size] ^= 1;
  await isRefused(altered);
  await isErr('wrong_audience', it.gateway.ping({ relay: 'x' }));
  const nonce = crypto.randomBytes(16);
  readAnswer(await it.relay.post(it.gateway.ping({ nonce })));
  await isErr('replayed', it.gateway.ping({ nonce }));
  await isErr('malformed', it.gateway.ping({ host: 'a' }));
  assert.equal((await pong()).refused, first.refused + 4n);
});

test('only the first answer of an instance is cold', async () => {
  const fresh = await new Relay(it.config).start();
  const cold = async () => readAnswer(await fresh.post(it.gateway.ping())).pong.cold;
  assert.deepEqual([await cold(), await cold()], [true, false]);
  await fresh.stop();
});
