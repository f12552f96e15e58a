'use strict';

// The parts that need no process: structures, addresses, configuration.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { test } = require('node:test');
const frames = require('../frames');
const { parse } = require('../config');
const { parseAddress, parseNetwork, contains, forbiddenClass } = require('../destination');
const { EMPTY, keyPair } = require('./lab');

const FORBIDDEN = {
  'this network': ['0.0.0.0', '0.255.255.255'],
  private: ['10.0.0.0', '10.255.255.255', '172.16.0.0', '172.31.255.255', '192.168.0.1'],
  'carrier-grade NAT': ['100.64.0.0', '100.127.255.255', '100.100.100.200'],
  loopback: ['127.0.0.1', '127.255.255.255', '::1'],
  metadata: ['168.63.129.16', 'fd00:ec2::254', 'fd20:ce::254'],
  'link-local': ['169.254.169.254', '169.254.0.0', 'fe80::1', 'febf::1'],
  'protocol assignments': ['192.0.0.0', '192.0.0.192', '2001:2::1', '2001:1ff::1'],
  documentation: ['192.0.2.1', '198.51.100.1', '203.0.113.255', '2001:db8::1', '3fff::1'],
  benchmarking: ['198.18.0.0', '198.19.255.255'],
  '6to4 relay': ['192.88.99.1'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
  reserved: ['240.0.0.0', '255.255.255.255', '4000::1', '200::1', '5f00::1'],
  unspecified: ['::'],
  'IPv4-mapped': ['::ffff:8.8.8.8', '::ffff:127.0.0.1', '::ffff:7f00:1'],
  'IPv4-compatible': ['::127.0.0.1'],
  NAT64: ['64:ff9b::8.8.8.8', '64:ff9b:1::1', '64:ff9b:1:ffff::'],
  Teredo: ['2001::1', '2001:0:ffff::'],
  '6to4': ['2002::1', '2002:7f00:1::'],
  'unique local': ['fc00::1', 'fdff::1'],
  'site-local': ['fec0::1', 'feff::1'],
  'discard-only': ['100::1'],
};
test('addresses that are not public are forbidden, by their class', () => {
  for (const [name, addresses] of Object.entries(FORBIDDEN)) {
    for (const text of addresses) assert.equal(forbiddenClass(parseAddress(text), []), name, text);
  }
});

test('public addresses are allowed, also beside the forbidden ones', () => {
  const open = ['1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0',
    '169.253.255.255', '172.15.255.255', '172.32.0.0', '192.0.1.0', '198.17.255.255', '198.20.0.0', '223.255.255.255',
    '2606:4700::1111', '2001:200::1', '2001:4860::8888', '2003::1', '2a00::1'];
  for (const text of open) assert.equal(forbiddenClass(parseAddress(text), []), null, text);
});

test('a network that is named is allowed, and nothing beside it', () => {
  const networks = ['10.1.0.0/17', 'fd00:1::/33', '::1/128'].map(parseNetwork);
  for (const text of ['10.1.0.1', '10.1.127.255', 'fd00:1::1', '::1']) assert.equal(forbiddenClass(parseAddress(text), networks), null, text);
  for (const text of ['10.1.128.0', '10.0.0.1', 'fd00:1:8000::1', '::ffff:10.1.0.1']) assert.notEqual(forbiddenClass(parseAddress(text), networks), null, text);
  assert.ok(contains(parseNetwork('0.0.0.0/0'), parseAddress('255.0.0.1')));
});

test('texts that are no addresses and no networks', () => {
  for (const text of ['', '1.2.3', '1.2.3.4.5', '01.2.3.4', '1.2.3.256', '0x7f.0.0.1', '127.1', ':', ':::', '1::2::3', '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7::8', 'fe80::1%eth0', '12345::', '1.2.3.4::', '::1.2.3', 'g::', ' ::1']) {
    assert.equal(parseAddress(text), null, text);
  }
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.1/8', '10.0.0.0/', '::1/129', '10.0.0.0/08']) assert.throws(() => parseNetwork(text), text);
});

const CALL = {
  relay: 'r', key: 'k', created: 1n, expires: 2n, nonce: Buffer.alloc(16, 7), answerBytesMax: 3n, mayStream: true, isTls: false,
  limits: { connect: 1, tls: 2, firstByte: 3, idle: 4, total: 5 }, host: 'h', port: 443, pinned: Buffer.from([1, 2, 3, 4]), version: 11,
  method: 'GET', target: '/\xb0', fields: [['A', ' \xff']], trailers: [['B', '']], bodyBytes: 0n, bodyDigest: Buffer.alloc(32, 9),
};

test('a call survives its encoding', () => {
  assert.deepEqual(frames.decodeCall(frames.encodeSigned(CALL), frames.KIND_CALL), { kind: 1, ...CALL });
});

test('a call that is shortened or lengthened anywhere is malformed', () => {
  const bytes = frames.encodeSigned(CALL);
  for (let size = 0; size < bytes.length; size += 1) {
    assert.throws(() => frames.decodeCall(bytes.subarray(0, size), 1), frames.Malformed);
  }
  assert.throws(() => frames.decodeCall(Buffer.concat([bytes, EMPTY, Buffer.alloc(1)]), 1), frames.Malformed);
});

test('more than 128 fields, and fields that would break a line', () => {
  const encode = (fields) => frames.encodeSigned({ ...CALL, fields });
  assert.doesNotThrow(() => encode(Array(128).fill(['A', ''])));
  assert.throws(() => encode(Array(129).fill(['A', ''])), frames.Malformed);
  // The encoder refuses these, so they are written over.
  const bytes = encode([['A', ' x y']]);
  const at = bytes.indexOf(' x y');
  for (const bad of [0x0a, 0x0d, 0x00, 0x1f, 0x7f]) {
    const altered = Buffer.from(bytes);
    altered[at] = bad;
    assert.throws(() => frames.decodeCall(altered, 1), frames.Malformed);
  }
  const named = Buffer.from(bytes);
  named[at - 5] = 0x20;
  assert.throws(() => frames.decodeCall(named, 1), frames.Malformed);
});

test('answers out of order are malformed', () => {
  const data = frames.encodeData(Buffer.from('x'));
  const end = frames.encodeEnd({ length: 1, digest: Buffer.alloc(32), trailers: [] });
  const err = frames.encodeErr({ stage: 'sent', code: 'x', detail: '', now: 0, peer: EMPTY });
  const head = (status) => frames.encodeHead({
    status, version: 11, reason: '', fields: [], framing: 0, length: 0, peer: EMPTY, exit: EMPTY, tlsVersion: 0,
    certificate: EMPTY, times: { dns: 0, connect: 0, tls: 0, firstByte: 0 }, cold: false, stack: 2, instance: 'i',
  });
  const decode = (...parts) => frames.decodeAnswer(Buffer.concat([frames.answerBegin(), ...parts]));
  assert.equal(decode(head(103), head(200), data, end).interim.length, 1);
  assert.equal(decode(err).err.stage, 'sent');
  assert.equal(decode(head(200), data, err).err.code, 'x');
  for (const parts of [[], [head(200)], [head(103), data, end], [data, end], [head(200), head(200), end], [head(200), end, end],
    [head(200), frames.encodeData(EMPTY), end], [end], [head(101), end]]) {
    assert.throws(() => decode(...parts), frames.Malformed);
  }
});

test('a configuration with a fault is refused', () => {
  const good = { id: 'gcf-1', keys: [{ id: 'k1', public: keyPair().public }], allow: ['Api.Example.com:443', '[2001:db8::1]:443'], networks: ['10.0.0.0/8'] };
  const config = parse(good, '/');
  assert.ok(config.allowed.has('api.example.com 443'));
  assert.equal(config.acceptReplay, false);
  const lines = '10.0.0.0/8\n[2001:db8::1]:443\napi.example.com:443\n';
  assert.ok(config.allowDigest.equals(crypto.createHash('sha256').update(lines).digest()));
  const faults = [{ id: undefined }, { id: 'a b' }, { keys: [] }, { keys: [{ id: 'k1', public: 'AAAA' }] }, { allow: 'a:1' }, { allow: ['a'] },
    { allow: ['a:0'] }, { allow: ['a:65536'] }, { allow: [':1'] }, { allow: ['1::2::3:443'] }, { networks: ['10.0.0.1/8'] }, { exit: 'x' },
    { accept_replay: true }, { accept_replay: ' ' }, { typo: 1 }];
  for (const fault of faults) assert.throws(() => parse({ ...good, ...fault }, '/'), JSON.stringify(fault));
});
