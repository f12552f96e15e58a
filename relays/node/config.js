'use strict';

// The configuration, read once and checked whole.
// A relay with a fault in it does not start: half of an allow-list is none.

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const tls = require('node:tls');
const { parseAddress, parseNetwork } = require('./destination');
const { normalDestination } = require('./locks');

const KNOWN = new Set(['id', 'keys', 'allow', 'networks', 'exit', 'accept_replay', 'ca']);
const NAME = /^[\x21-\x7e]+$/;

function fail(what) {
  throw new Error(`relay configuration: ${what}`);
}

function parseKey({ id, public: encoded }) {
  // Spaces separate the names in a PONG.
  if (typeof id !== 'string' || !NAME.test(id)) fail('a key needs an id of printable ASCII without spaces');
  const raw = Buffer.from(String(encoded), 'base64');
  if (raw.length !== 32 || raw.toString('base64') !== encoded) fail(`key ${id}: public is not Base64 of 32 bytes`);
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') };
  return [id, crypto.createPublicKey({ key: jwk, format: 'jwk' })];
}

function parseEntry(entry) {
  const colon = entry.lastIndexOf(':');
  const port = entry.slice(colon + 1);
  let host = entry.slice(0, Math.max(colon, 0));
  if (host.startsWith('[') && host.endsWith(']')) host = host.slice(1, -1);
  if (!NAME.test(host) || !/^[1-9][0-9]{0,4}$/.test(port) || Number(port) > 65_535) {
    fail(`allow: ${entry} is not host:port`);
  }
  if (host.includes(':') && parseAddress(host) === null) fail(`allow: ${entry} is not host:port`);
  return normalDestination(host, Number(port));
}

function list(raw, name) {
  const value = raw[name] ?? [];
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string')) fail(`${name} is not a list of texts`);
  return value;
}

// Over the entries as they are written, networks too, for they are a part of what is allowed.
function allowDigest(entries) {
  const lines = entries.map((entry) => Buffer.from(`${entry.toLowerCase()}\n`));
  return crypto.createHash('sha256').update(Buffer.concat(lines.sort(Buffer.compare))).digest();
}

function parse(raw, directory) {
  for (const name of Object.keys(raw)) if (!KNOWN.has(name)) fail(`${name} is not known`);
  if (typeof raw.id !== 'string' || !NAME.test(raw.id)) fail('id is not printable ASCII without spaces');
  if (!Array.isArray(raw.keys) || raw.keys.length === 0) fail('keys are missing');
  if (raw.accept_replay !== undefined && (typeof raw.accept_replay !== 'string' || raw.accept_replay.trim() === '')) {
    fail('accept_replay is not a reason');
  }
  const exit = raw.exit === undefined ? Buffer.alloc(0) : parseAddress(String(raw.exit));
  if (exit === null) fail('exit is not an address');
  const allow = list(raw, 'allow');
  const networks = list(raw, 'networks');
  // Given alone, a CA would replace the public ones.
  const ca = raw.ca === undefined ? undefined
    : [...tls.rootCertificates, fs.readFileSync(path.resolve(directory, raw.ca), 'utf8')];
  return {
    id: raw.id,
    keys: new Map(raw.keys.map(parseKey)),
    allowed: new Set(allow.map(parseEntry)),
    networks: networks.map(parseNetwork),
    allowDigest: allowDigest([...allow, ...networks]),
    exit,
    acceptReplay: raw.accept_replay !== undefined,
    ca,
  };
}

function load(file) {
  return parse(JSON.parse(fs.readFileSync(file, 'utf8')), path.dirname(file));
}

module.exports = { parse, load };
