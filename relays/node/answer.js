'use strict';

// Reads an answer from a connection with the parser of Node's HTTP client.
// Not the writing of the request: what the client writes here is thrown away.
// The parser stays in its strict mode; `insecureHTTPParser` would accept answers that can be read in two ways.

const http = require('node:http');
const { Duplex } = require('node:stream');
const { Failure } = require('./failure');
const { wireCode } = require('./errors');
const frames = require('./frames');

// The default of Node is 16 KiB, less than providers send; a HEAD frame holds 1 MiB.
const HEAD_BYTES_MAX = 262_144;
// Nothing but a provider's fault sends more, and they are not held back by a slow gateway.
const INTERIM_MAX = 32;
const [NO_BODY, BY_LENGTH, CHUNKED, UNTIL_CLOSE] = [0, 1, 2, 3];

function wireFailure(error, phase) {
  return new Failure(wireCode(error, phase), String(error.code ?? error.message));
}

// libuv reports a reset that arrives together with bytes as an ordinary end of the connection. The kernel knows no
// peer of a connection that was reset, and still knows that of one whose other side has only ended.
// Holds as long as nothing has asked for the address before, because a socket of Node remembers it.
function resetBehindEnd(socket) {
  return socket.remoteAddress === undefined ? new Failure('reset', 'ECONNRESET with the last bytes') : null;
}

// What Node's client takes for its connection: it reads what the provider sends, and writes into nothing.
// An error of the connection is an end with a cause, so that it is told behind the bytes that came before it.
class ReadSide extends Duplex {
  constructor(socket) {
    super({ allowHalfOpen: true });
    this.socket = socket;
    this.bytes = 0;
    this.cause = null;
    this.hasEnded = false;
    socket.on('data', (piece) => {
      this.bytes += piece.length;
      this.emit('piece');
      if (!this.push(piece)) socket.pause();
    });
    socket.on('end', () => this.finish(resetBehindEnd(socket)));
    socket.on('error', (error) => this.finish(wireFailure(error, 'open')));
    socket.on('close', () => this.finish(null));
  }

  finish(cause) {
    if (this.hasEnded || this.destroyed) return;
    this.hasEnded = true;
    this.cause = cause;
    this.push(null);
  }

  _read() { this.socket.resume(); }
  _write(_bytes, _encoding, done) { done(); }
}

// `response` and `begun` are promises that fail with a Failure.
class Answer {
  constructor(socket, isHead, onFirstByte) {
    this.side = new ReadSide(socket);
    this.parserError = null;
    this.onInterim = async () => {};
    this.interim = 0;
    this.begun = new Promise((resolve, reject) => {
      this.side.once('piece', () => {
        this.begunAt = performance.now();
        onFirstByte();
        resolve();
      });
      this.failBegun = reject;
    });
    this.response = new Promise((resolve, reject) => this.start(isHead, resolve, reject));
    for (const promise of [this.begun, this.response]) promise.catch(() => {});
  }

  start(isHead, resolve, reject) {
    const fail = (failure) => {
      reject(failure);
      this.failBegun(failure);
    };
    // Only that it is a HEAD matters to the parser.
    const client = http.request({
      createConnection: () => this.side, method: isHead ? 'HEAD' : 'GET', setHost: false, headers: [],
      maxHeaderSize: HEAD_BYTES_MAX, insecureHTTPParser: false,
    });
    client.on('response', (response) => {
      response.on('error', () => {});
      resolve(response);
    });
    client.on('information', (interim) => {
      this.interim += 1;
      if (this.interim > INTERIM_MAX) fail(new Failure('answer_malformed', 'too many interim answers'));
      // 100 answers a question that was not asked here.
      else if (interim.statusCode !== 100) this.passInterim(interim, fail);
    });
    client.on('upgrade', (_, socket) => {
      socket.destroy();
      fail(new Failure('answer_malformed', 'status 101 cannot pass'));
    });
    client.on('error', (error) => {
      if (String(error.code).startsWith('HPE_')) this.parserError = error;
      fail(this.failure());
    });
    client.end();
  }

  passInterim(interim, fail) {
    try {
      this.onInterim({ ...describeStart(interim), framing: NO_BODY, length: 0 }).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  // Why there is no answer, or no more of it.
  failure() {
    if (this.parserError !== null) {
      return new Failure('answer_malformed', this.parserError.reason ?? this.parserError.code);
    }
    if (this.side.cause !== null) return this.side.cause;
    if (this.side.bytes === 0) return new Failure('closed_without_answer', 'the connection was closed');
    return new Failure('answer_truncated', `the connection was closed after ${this.side.bytes} bytes`);
  }

  // Gives undefined when the next bytes have come.
  nextPiece() {
    return new Promise((resolve) => this.side.once('piece', () => resolve(undefined)));
  }

  async content(promise) {
    try {
      return await promise;
    } catch {
      throw this.failure();
    }
  }
}

// Node takes the whitespace around a value away; one space in front is what nearly everybody sends.
function describeFields(raw) {
  const fields = [];
  for (let n = 0; n < raw.length; n += 2) fields.push([raw[n], ` ${raw[n + 1]}`]);
  if (fields.length > frames.FIELDS_MAX) {
    throw new Failure('answer_malformed', `${fields.length} fields, more than ${frames.FIELDS_MAX}`);
  }
  return fields;
}

function describeStart({ statusCode, statusMessage, httpVersion, rawHeaders }) {
  if (httpVersion !== '1.0' && httpVersion !== '1.1') throw new Failure('answer_malformed', `HTTP ${httpVersion}`);
  if (statusCode < 100 || statusCode === 101) throw new Failure('answer_malformed', `status ${statusCode}`);
  return {
    status: statusCode, version: httpVersion === '1.0' ? 10 : 11, reason: ` ${statusMessage}`,
    fields: describeFields(rawHeaders),
  };
}

// How long the content is, by RFC 9112 §6.3; the parser goes by the same rules.
function describeFraming(head, isHead) {
  if (isHead || head.status === 204 || head.status === 304) return { framing: NO_BODY, length: 0 };
  const named = (name) => head.fields.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value.trim());
  const [lengths, codings] = [named('content-length'), named('transfer-encoding')];
  if (codings.length > 0) {
    if (codings.length > 1 || codings[0].toLowerCase() !== 'chunked' || head.version !== 11 || lengths.length > 0) {
      throw new Failure('answer_malformed', 'a coding other than chunked, or in HTTP/1.0, or with Content-Length');
    }
    return { framing: CHUNKED, length: 0 };
  }
  if (lengths.length > 1 || (lengths.length === 1 && !/^[0-9]{1,19}$/.test(lengths[0]))) {
    throw new Failure('answer_malformed', 'Content-Length is not one number');
  }
  return lengths.length === 1 ? { framing: BY_LENGTH, length: BigInt(lengths[0]) } : { framing: UNTIL_CLOSE, length: 0 };
}

function describeHead(response, isHead) {
  const head = describeStart(response);
  return { ...head, ...describeFraming(head, isHead) };
}

module.exports = { Answer, UNTIL_CLOSE, describeHead, describeFields, wireFailure };
