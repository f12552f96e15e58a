'use strict';

// One request to a provider over a connection of its own, and what came back as frames.
// Not whether the call may be made: locks.js has decided that, except about addresses, which are known only here.
// Not a byte of the request is left to Node's client, which writes a method in upper case, always HTTP/1.1, and
// `name: value` with one space. The head is written here; Node's parser reads the answer (answer.js).

const crypto = require('node:crypto');
const dns = require('node:dns');
const net = require('node:net');
const tls = require('node:tls');
const frames = require('./frames');
const { Failure } = require('./failure');
const { parseAddress, formatAddress, forbiddenClass } = require('./destination');
const { Answer, UNTIL_CLOSE, describeHead, describeFields, wireFailure } = require('./answer');
const { CONNECT_CODES } = require('./errors');

// Timers of Node take 31 bits, and fire at once for more.
const TIMER_MS_MAX = 0x7fff_ffff;
const PIECE_BYTES = 65_536;
// So that one name cannot make us dial forever; the limit of the call is shared between them.
const ADDRESSES_MAX = 8;
const TLS_VERSIONS = { TLSv1: 0x0301, 'TLSv1.1': 0x0302, 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 };

const steadyMs = () => performance.now();
const micros = (since) => Math.max(1, Math.round((steadyMs() - since) * 1000));

// What is known about a call under way, and the two ways in which it ends early: its total limit, and a gateway
// that has gone.
class Trip {
  constructor(call, arrived, signal) {
    this.stage = 'before_send';
    this.peer = Buffer.alloc(0);
    this.times = { dns: 0, connect: 0, tls: 0, firstByte: 0 };
    this.socket = null;
    this.over = new Promise((_, reject) => {
      const total = call.limits.total;
      const left = Math.min(arrived + total - steadyMs(), TIMER_MS_MAX);
      if (total > 0) this.timer = setTimeout(() => reject(new Failure('deadline', `after ${total} ms`)), left);
      signal.addEventListener('abort', () => reject(new Failure('gateway_gone', 'the gateway has gone')));
    });
    this.over.catch(() => {});
  }

  // A limit of 0 is none.
  async within(promise, ms, code) {
    promise.catch(() => {});
    if (ms === 0) return Promise.race([promise, this.over]);
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Failure(code, `after ${Math.round(ms)} ms`)), Math.min(ms, TIMER_MS_MAX));
    });
    try {
      return await Promise.race([promise, late, this.over]);
    } finally {
      clearTimeout(timer);
    }
  }

  close() {
    clearTimeout(this.timer);
    if (this.socket !== null) this.socket.destroy();
  }
}

// Rules for a request that locks.js does not know, because they are about HTTP.
// A body that does not end where its head says would be read as a second request.
function checkFraming(call) {
  if (call.method === 'CONNECT') throw new Failure('malformed', 'CONNECT cannot pass');
  const named = (name) => call.fields.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value);
  const [lengths, codings] = [named('content-length'), named('transfer-encoding')];
  if (lengths.length + codings.length > 1) throw new Failure('malformed', 'the body of the request has two framings');
  const isChunked = codings.length === 1;
  if (isChunked && (codings[0].trim().toLowerCase() !== 'chunked' || call.version !== 11)) {
    throw new Failure('malformed', 'a coding other than chunked, or in HTTP/1.0');
  }
  if (!isChunked && call.trailers.length > 0) throw new Failure('malformed', 'trailers without chunked');
  const announced = lengths.length === 1 ? lengths[0].trim() : '0';
  if (!isChunked && (!/^[0-9]{1,19}$/.test(announced) || BigInt(announced) !== call.bodyBytes)) {
    throw new Failure('malformed', 'Content-Length and the content differ');
  }
  return isChunked;
}

function lookup(host) {
  return new Promise((resolve, reject) => {
    dns.lookup(host, { all: true, verbatim: true }, (error, found) => {
      if (error === null) resolve(found.map(({ address }) => address));
      else if (error.code === 'ENOTFOUND') reject(new Failure('dns_nx', 'the name has no address'));
      else reject(new Failure('dns_servfail', String(error.code)));
    });
  });
}

// The addresses that are dialled, all of them checked.
async function resolve(call, trip, networks, connectBy) {
  let found;
  if (call.pinned.length > 0) {
    found = [call.pinned];
  } else if (net.isIP(call.host) !== 0) {
    found = [parseAddress(call.host)];
  } else {
    const began = steadyMs();
    const names = await trip.within(lookup(call.host), left(connectBy, 'dns_timeout'), 'dns_timeout');
    trip.times.dns = micros(began);
    found = names.map(parseAddress);
  }
  // One public address among forbidden ones may be dialled: the forbidden ones are not.
  const classes = found.map((address) => (address === null ? 'zoned' : forbiddenClass(address, networks)));
  const open = found.filter((_, n) => classes[n] === null);
  if (open.length === 0) throw new Failure('destination_forbidden', `${call.host} is ${[...new Set(classes)].join(', ')}`);
  return open.slice(0, ADDRESSES_MAX);
}

function left(by, code) {
  if (by === Infinity) return 0;
  const ms = by - steadyMs();
  if (ms <= 0) throw new Failure(code, 'no time was left');
  return ms;
}

function connectFailure(error, address) {
  // Without a free local port no address can be assigned; without IPv6 no IPv6 address can.
  const code = error.code === 'EADDRNOTAVAIL' && address.length === 4 ? 'busy' : CONNECT_CODES[error.code] ?? 'internal';
  return new Failure(code, `${formatAddress(address)}: ${error.code}`);
}

function dialOne(trip, address, port) {
  return new Promise((resolve, reject) => {
    // Half open, because a provider may end its side before it has read everything.
    const socket = net.connect({ host: formatAddress(address), port, allowHalfOpen: true, noDelay: true });
    trip.socket = socket;
    trip.peer = address;
    socket.once('connect', () => resolve(socket));
    socket.on('error', (error) => reject(connectFailure(error, address)));
  });
}

// In the order of the resolver, one after the other.
async function dial(call, trip, addresses, connectBy) {
  let failed = null;
  for (const [n, address] of addresses.entries()) {
    const began = steadyMs();
    const share = left(connectBy, 'connect_timeout') / (addresses.length - n);
    try {
      const socket = await trip.within(dialOne(trip, address, call.port), share, 'connect_timeout');
      trip.times.connect = micros(began);
      return socket;
    } catch (error) {
      trip.socket.destroy();
      if (!(error instanceof Failure) || error.code === 'deadline' || error.code === 'gateway_gone') throw error;
      // That we have no IPv6 says nothing about the provider, if another of its addresses says more.
      if (failed === null || failed.error.code === 'connect_unreachable') failed = { error, address };
    }
  }
  trip.peer = failed.address;
  throw failed.error;
}

function handshake(call, socket, ca) {
  return new Promise((resolve, reject) => {
    const name = call.host.replace(/\.$/, '');
    const secure = tls.connect({
      socket, ca, host: name, servername: net.isIP(name) === 0 ? name : undefined,
      ALPNProtocols: ['http/1.1'], rejectUnauthorized: true, minVersion: 'TLSv1.2', allowHalfOpen: true,
    });
    secure.once('secureConnect', () => resolve(secure));
    secure.on('error', (error) => reject(wireFailure(error, 'handshake')));
    secure.once('close', () => reject(new Failure('tls_closed', 'during the handshake')));
  });
}

async function connect(call, trip, config) {
  const connectBy = call.limits.connect === 0 ? Infinity : steadyMs() + call.limits.connect;
  const addresses = await resolve(call, trip, config.networks, connectBy);
  const socket = await dial(call, trip, addresses, connectBy);
  if (!call.isTls) return { socket, tlsVersion: 0, certificate: Buffer.alloc(0) };
  const began = steadyMs();
  const secure = await trip.within(handshake(call, socket, config.ca), call.limits.tls, 'tls_timeout');
  trip.times.tls = micros(began);
  trip.socket = secure;
  const certificate = crypto.createHash('sha256').update(secure.getPeerCertificate().raw).digest();
  return { socket: secure, tlsVersion: TLS_VERSIONS[secure.getProtocol()] ?? 0, certificate };
}

// The head goes out together with the first piece, as one write.
function* requestPieces(call, content, isChunked) {
  const lines = call.fields.map(([name, value]) => `${name}:${value}\r\n`).join('');
  const line = `${call.method} ${call.target} HTTP/1.${call.version - 10}\r\n`;
  let begin = Buffer.from(`${line}${lines}\r\n`, 'latin1');
  for (let at = 0; at < content.length; at += PIECE_BYTES) {
    const piece = content.subarray(at, at + PIECE_BYTES);
    const parts = isChunked ? [`${piece.length.toString(16)}\r\n`, piece, '\r\n'] : [piece];
    yield Buffer.concat([begin, ...parts.map((part) => Buffer.from(part))]);
    begin = Buffer.alloc(0);
  }
  const trailers = call.trailers.map(([name, value]) => `${name}:${value}\r\n`).join('');
  const end = Buffer.from(isChunked ? `0\r\n${trailers}\r\n` : '', 'latin1');
  if (begin.length + end.length > 0) yield Buffer.concat([begin, end]);
}

async function writeRequest(call, trip, socket, pieces) {
  for (const piece of pieces) {
    trip.stage = trip.stage === 'before_send' ? 'sent' : trip.stage;
    const written = new Promise((resolve, reject) => {
      socket.write(piece, (error) => (error ? reject(wireFailure(error, 'open')) : resolve()));
    });
    // No limit of the protocol is for writing; this one is the nearest.
    await trip.within(written, call.limits.idle, 'write_timeout');
  }
}

// Waits for the head of the answer: `first_byte` for its first byte, `idle` for each further piece of it.
async function awaitHead(call, trip, answer, sentAt) {
  await trip.within(answer.begun, call.limits.firstByte, 'read_timeout');
  trip.times.firstByte = Math.max(1, Math.round((answer.begunAt - sentAt) * 1000));
  for (;;) {
    const response = await trip.within(Promise.race([answer.response, answer.nextPiece()]), call.limits.idle, 'body_timeout');
    if (response !== undefined) return response;
  }
}

async function passContent(call, trip, response, way) {
  const hash = crypto.createHash('sha256');
  const max = call.answerBytesMax;
  let length = 0;
  const pieces = response[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await trip.within(way.answer.content(pieces.next()), call.limits.idle, 'body_timeout');
    if (done) break;
    const fits = BigInt(length + value.length) <= max;
    const piece = fits ? value : value.subarray(0, Number(max) - length);
    hash.update(piece);
    length += piece.length;
    for (let at = 0; at < piece.length; at += PIECE_BYTES) {
      await trip.within(way.emit(frames.encodeData(piece.subarray(at, at + PIECE_BYTES))), 0);
    }
    if (!fits) throw new Failure('answer_too_large', `more than ${max} bytes`);
  }
  // Only an end of the connection tells the end of such an answer, and a reset is none.
  if (way.framing === UNTIL_CLOSE && way.answer.side.cause !== null) throw way.answer.side.cause;
  return { length, digest: hash.digest(), trailers: describeFields(response.rawTrailers) };
}

async function exchange(call, content, trip, way) {
  const isChunked = checkFraming(call);
  const { socket, tlsVersion, certificate } = await connect(call, trip, way.config);
  const answer = new Answer(socket, call.method === 'HEAD', () => { trip.stage = 'partial'; });
  const known = () => ({
    peer: trip.peer, exit: way.config.exit, tlsVersion, certificate, times: trip.times, ...way.instance(),
  });
  const written = writeRequest(call, trip, socket, requestPieces(call, content, isChunked));
  written.catch(() => {});
  // An answer may come before the whole request is written: it is passed on, and the writing goes on meanwhile.
  await Promise.race([written, answer.begun]);
  const sentAt = steadyMs();
  answer.onInterim = (head) => way.emit(frames.encodeHead({ ...known(), ...head }));
  const response = await awaitHead(call, trip, answer, sentAt);
  const head = describeHead(response, call.method === 'HEAD');
  await trip.within(way.emit(frames.encodeHead({ ...known(), ...head })), 0);
  if (BigInt(head.length) > call.answerBytesMax) throw new Failure('answer_too_large', `${head.length} bytes are announced`);
  const end = await passContent(call, trip, response, { ...way, answer, framing: head.framing });
  await way.emit(frames.encodeEnd(end), true);
}

// `way` has the configuration, `instance()` (cold, stack and its name), `emit(frame)`, `signal` and `arrived`.
// Emits everything up to END, or throws a failure that knows how far the request came.
async function makeCall(call, content, way) {
  const trip = new Trip(call, way.arrived, way.signal);
  try {
    await exchange(call, content, trip, way);
  } catch (error) {
    error.stage = trip.stage;
    error.peer = trip.peer;
    throw error;
  } finally {
    trip.close();
  }
}

module.exports = { makeCall };
