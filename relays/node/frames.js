'use strict';

// The structures of the relay protocol, version 1, as bytes and back.
// Pure: no clock, no network, no configuration.
// A reader refuses whatever breaks a rule of the document, because two readings of one message are a hole.
// Field names and values, methods, targets and reasons are strings of latin1, where one character is one byte.

const VERSION = 1;
const KIND_CALL = 1;
const KIND_PING = 2;
const HEAD = 1;
const DATA = 2;
const END = 3;
const ERR = 4;
const PONG = 5;
const STAGES = ['before_send', 'sent', 'partial'];

const MAGIC_REQUEST = Buffer.from('BYWR', 'latin1');
const MAGIC_ANSWER = Buffer.from('BYWA', 'latin1');
const SIGNED_PREFIX = Buffer.from('byway relay call\0', 'latin1');
const SIGNED_BYTES_MAX = 163_840;
const FRAME_BYTES_MAX = 1_048_576;
const FIELDS_MAX = 128;
const PREFIX_BYTES = 10;
const SIGNATURE_BYTES = 64;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TEXT = /^[\x20-\x7e]*$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const TARGET = /^[\x21-\x7e\x80-\xff]+$/;

// Bytes that are not what the document describes.
class Malformed extends Error {}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(size) {
    if (size > this.bytes.length - this.at) throw new Malformed('ends too soon');
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  u8() { return this.take(1)[0]; }
  u16() { return this.take(2).readUInt16BE(); }
  u32() { return this.take(4).readUInt32BE(); }
  u64() { return this.take(8).readBigUInt64BE(); }
  short() { return this.take(this.u16()).toString('latin1'); }
  long() { return this.take(this.u32()).toString('latin1'); }

  matching(value, pattern, what) {
    if (!pattern.test(value)) throw new Malformed(`${what} has a byte that it must not have`);
    return value;
  }

  text(what) { return this.matching(this.short(), TEXT, what); }

  flag(what) {
    const value = this.u8();
    if (value > 1) throw new Malformed(`${what} is neither 0 nor 1`);
    return value === 1;
  }

  ip(what) {
    const size = this.u8();
    if (size !== 0 && size !== 4 && size !== 16) throw new Malformed(`${what} has ${size} bytes`);
    return Buffer.from(this.take(size));
  }

  fields(what) {
    const count = this.u16();
    if (count > FIELDS_MAX) throw new Malformed(`${what} are ${count}, more than ${FIELDS_MAX}`);
    const fields = [];
    for (let n = 0; n < count; n += 1) {
      const name = this.matching(this.short(), TOKEN, `a name in ${what}`);
      fields.push([name, this.matching(this.long(), VALUE, `a value in ${what}`)]);
    }
    return fields;
  }

  end() {
    if (this.at !== this.bytes.length) throw new Malformed('bytes are left over');
  }
}

class Writer {
  constructor() { this.parts = []; }

  raw(bytes) { this.parts.push(bytes); return this; }
  u8(value) { return this.raw(Buffer.from([value])); }

  u16(value) {
    if (value > 0xffff) throw new Malformed('does not fit into a u16');
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16BE(value);
    return this.raw(bytes);
  }

  u32(value) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return this.raw(bytes);
  }

  u64(value) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(value));
    return this.raw(bytes);
  }

  short(value) { return this.u16(value.length).raw(Buffer.from(value, 'latin1')); }
  long(value) { return this.u32(value.length).raw(Buffer.from(value, 'latin1')); }

  text(value) {
    if (!TEXT.test(value)) throw new Malformed('a text has a byte that is not printable ASCII');
    return this.short(value);
  }

  ip(bytes) { return this.u8(bytes.length).raw(bytes); }

  fields(fields) {
    if (fields.length > FIELDS_MAX) throw new Malformed(`${fields.length} fields, more than ${FIELDS_MAX}`);
    this.u16(fields.length);
    for (const [name, value] of fields) {
      if (!TOKEN.test(name) || !VALUE.test(value)) throw new Malformed('a field that must not be sent');
      this.short(name).long(value);
    }
    return this;
  }

  bytes() { return Buffer.concat(this.parts); }
}

// Takes the outside of a request apart, and reads nothing that is signed but the version and the kind.
function decodeEnvelope(bytes) {
  const reader = new Reader(bytes);
  if (!reader.take(4).equals(MAGIC_REQUEST)) throw new Malformed('another magic');
  const version = reader.u8();
  const kind = reader.u8();
  const size = reader.u32();
  if (size > SIGNED_BYTES_MAX) throw new Malformed('the signed part is too long');
  const signed = reader.take(size);
  const signature = reader.take(SIGNATURE_BYTES);
  const message = Buffer.concat([SIGNED_PREFIX, bytes.subarray(0, PREFIX_BYTES + size)]);
  return { version, kind, signed, signature, message, content: bytes.subarray(reader.at) };
}

// The name of the key stands in what it signs, so these two texts are read before the signature is checked.
function peekKey(signed) {
  const reader = new Reader(signed);
  reader.text('relay');
  return reader.text('key');
}

function decodeCall(signed, kind) {
  if (kind !== KIND_CALL && kind !== KIND_PING) throw new Malformed(`kind ${kind}`);
  const reader = new Reader(signed);
  const call = {
    kind,
    relay: reader.text('relay'),
    key: reader.text('key'),
    created: reader.u64(),
    expires: reader.u64(),
    nonce: Buffer.from(reader.take(16)),
    limits: { connect: reader.u32(), tls: reader.u32(), firstByte: reader.u32(), idle: reader.u32(), total: reader.u32() },
    answerBytesMax: reader.u64(),
    mayStream: reader.flag('may_stream'),
    isTls: reader.flag('is_tls'),
    host: reader.text('host'),
    port: reader.u16(),
    pinned: reader.ip('pinned'),
    version: reader.u8(),
    method: reader.short(),
    target: reader.long(),
    fields: reader.fields('fields'),
    trailers: reader.fields('trailers'),
    bodyBytes: reader.u64(),
    bodyDigest: Buffer.from(reader.take(32)),
  };
  reader.end();
  checkKind(call);
  return call;
}

function checkKind(call) {
  if (call.kind === KIND_PING) {
    if (call.host + call.method + call.target !== '' || call.bodyBytes !== 0n) {
      throw new Malformed('a ping has no destination and no body');
    }
    return;
  }
  if (call.version !== 10 && call.version !== 11) throw new Malformed('version is neither 10 nor 11');
  if (call.host === '') throw new Malformed('host is empty');
  if (!TOKEN.test(call.method)) throw new Malformed('method is not a token');
  if (!TARGET.test(call.target)) throw new Malformed('target has a byte that it must not have, or none');
}

function encodeSigned(call) {
  const { connect, tls, firstByte, idle, total } = call.limits;
  const writer = new Writer().text(call.relay).text(call.key);
  writer.u64(call.created).u64(call.expires).raw(call.nonce);
  for (const limit of [connect, tls, firstByte, idle, total]) writer.u32(limit);
  writer.u64(call.answerBytesMax).u8(call.mayStream ? 1 : 0).u8(call.isTls ? 1 : 0);
  writer.text(call.host).u16(call.port).ip(call.pinned).u8(call.version);
  writer.short(call.method).long(call.target).fields(call.fields).fields(call.trailers);
  return writer.u64(call.bodyBytes).raw(call.bodyDigest).bytes();
}

// `sign` gets the bytes to be signed, and gives 64 bytes.
function encodeRequest(kind, signed, content, sign) {
  const begin = new Writer().raw(MAGIC_REQUEST).u8(VERSION).u8(kind).u32(signed.length).raw(signed).bytes();
  return Buffer.concat([begin, sign(Buffer.concat([SIGNED_PREFIX, begin])), content]);
}

function answerBegin() {
  return new Writer().raw(MAGIC_ANSWER).u8(VERSION).bytes();
}

function frame(type, payload) {
  if (payload.length > FRAME_BYTES_MAX) throw new Malformed('a frame is too long');
  return new Writer().u8(type).u32(payload.length).raw(payload).bytes();
}

function encodeHead(head) {
  const writer = new Writer().u16(head.status).u8(head.version).short(head.reason).fields(head.fields);
  writer.u8(head.framing).u64(head.length).ip(head.peer).ip(head.exit);
  writer.u16(head.tlsVersion).short(head.certificate.toString('latin1'));
  for (const time of [head.times.dns, head.times.connect, head.times.tls, head.times.firstByte]) writer.u32(time);
  return frame(HEAD, writer.u8(head.cold ? 1 : 0).u8(head.stack).text(head.instance).bytes());
}

function encodeData(piece) {
  return frame(DATA, piece);
}

function encodeEnd(end) {
  return frame(END, new Writer().u64(end.length).raw(end.digest).fields(end.trailers).bytes());
}

function encodeErr(err) {
  const writer = new Writer().u8(STAGES.indexOf(err.stage)).text(err.code).text(err.detail);
  return frame(ERR, writer.u64(err.now).ip(err.peer).bytes());
}

function encodePong(pong) {
  const writer = new Writer().u8(VERSION).u8(VERSION).text(pong.relay).text(pong.instance).text(pong.software);
  writer.u8(pong.stack).u8(pong.cold ? 1 : 0).ip(pong.exit).raw(pong.allowDigest);
  return frame(PONG, writer.text(pong.keys.join(' ')).u64(pong.now).u64(pong.refused).bytes());
}

const DECODE = {
  [HEAD](reader) {
    const head = {
      status: reader.u16(), version: reader.u8(), reason: reader.short(), fields: reader.fields('fields'),
      framing: reader.u8(), length: reader.u64(), peer: reader.ip('peer'), exit: reader.ip('exit'),
      tlsVersion: reader.u16(), certificate: Buffer.from(reader.short(), 'latin1'),
      times: { dns: reader.u32(), connect: reader.u32(), tls: reader.u32(), firstByte: reader.u32() },
      cold: reader.flag('cold'), stack: reader.u8(), instance: reader.text('instance'),
    };
    if (head.status < 100 || head.status > 999 || head.status === 101) throw new Malformed(`status ${head.status}`);
    return head;
  },
  [END](reader) {
    return { length: reader.u64(), digest: Buffer.from(reader.take(32)), trailers: reader.fields('trailers') };
  },
  [ERR](reader) {
    const stage = STAGES[reader.u8()];
    if (stage === undefined) throw new Malformed('stage');
    return { stage, code: reader.text('code'), detail: reader.text('detail'), now: reader.u64(), peer: reader.ip('peer') };
  },
  [PONG](reader) {
    return {
      oldest: reader.u8(), newest: reader.u8(),
      relay: reader.text('relay'), instance: reader.text('instance'), software: reader.text('software'),
      stack: reader.u8(), cold: reader.flag('cold'), exit: reader.ip('exit'),
      allowDigest: Buffer.from(reader.take(32)), keys: reader.text('keys').split(' '),
      now: reader.u64(), refused: reader.u64(),
    };
  },
};

// Reads a whole answer, and refuses one without an end or with anything behind it.
function decodeAnswer(bytes) {
  const reader = new Reader(bytes);
  if (!reader.take(4).equals(MAGIC_ANSWER) || reader.u8() !== VERSION) throw new Malformed('another magic');
  const answer = { interim: [], head: null, pieces: [], end: null, err: null, pong: null };
  for (;;) {
    const type = reader.u8();
    const size = reader.u32();
    if (size > FRAME_BYTES_MAX) throw new Malformed('a frame is too long');
    if (addFrame(answer, type, reader.take(size))) break;
  }
  reader.end();
  return answer;
}

// Says whether the frame is the last one.
function addFrame(answer, type, payload) {
  if (type === DATA) {
    if (answer.head === null || payload.length === 0) throw new Malformed('DATA out of place');
    answer.pieces.push(payload);
    return false;
  }
  if (!(type in DECODE)) throw new Malformed(`frame ${type}`);
  const reader = new Reader(payload);
  const value = DECODE[type](reader);
  reader.end();
  if (type === HEAD) {
    if (answer.head !== null) throw new Malformed('HEAD behind the last one');
    if (value.status < 200) answer.interim.push(value);
    else answer.head = value;
    return false;
  }
  if (type === END && answer.head === null) throw new Malformed('END without HEAD');
  if (type === PONG && answer.head !== null) throw new Malformed('PONG is not alone');
  answer[{ [END]: 'end', [ERR]: 'err', [PONG]: 'pong' }[type]] = value;
  return true;
}

module.exports = {
  VERSION, KIND_CALL, KIND_PING, FIELDS_MAX, Malformed, TOKEN,
  decodeEnvelope, peekKey, decodeCall, encodeSigned, encodeRequest,
  answerBegin, encodeHead, encodeData, encodeEnd, encodeErr, encodePong, decodeAnswer,
};
