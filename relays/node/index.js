'use strict';

// The relay as an HTTP function: takes a request apart, has it checked, and answers with frames.
// Everything that needs memory between requests is here: the nonces, the counters, and that the instance is warm.

const crypto = require('node:crypto');
const path = require('node:path');
const functions = require('@google-cloud/functions-framework');
const frames = require('./frames');
const locks = require('./locks');
const { load } = require('./config');
const { makeCall } = require('./call');
const { Failure, Stranger } = require('./failure');
const { Outlet } = require('./outlet');
const { version } = require('./package.json');

const STACK_NODE = 2;
const SOFTWARE = `byway-relay-node/${version} node/${process.versions.node}`;
// The beginning of Base64 whose first bytes are the magic.
const BASE64_MAGIC = Buffer.from('QllXU', 'latin1');
const DETAIL_CHARS_MAX = 500;

const state = {
  config: load(process.env.BYWAY_RELAY_CONFIG ?? path.join(__dirname, 'relay.json')),
  nonces: new locks.Nonces(),
  instance: crypto.randomBytes(8).toString('hex'),
  answered: 0,
  refused: 0n,
};

const instance = () => ({ cold: state.answered === 0, stack: STACK_NODE, instance: state.instance });

function refuse(response) {
  state.refused += 1n;
  state.answered += 1;
  response.writeHead(403, { 'Content-Type': 'text/plain', 'Content-Length': 8 });
  response.end('refused\n');
}

// The bytes of the request, out of Base64 if they begin so. Node's own decoder skips what is not Base64.
function unwrap(request) {
  const raw = request.rawBody;
  if (request.method !== 'POST' || request.headers['content-encoding'] !== undefined || raw === undefined) {
    throw new Stranger();
  }
  if (!raw.subarray(0, BASE64_MAGIC.length).equals(BASE64_MAGIC)) return { bytes: raw, isBase64: false };
  const text = raw.toString('latin1');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new Stranger();
  return { bytes, isBase64: true };
}

function errFrame(error) {
  const isKnown = error instanceof Failure;
  // A fault of this program: its place belongs into the log, not into an answer.
  if (!isKnown) console.error(error);
  const detail = isKnown ? error.detail : 'a fault in the relay';
  return frames.encodeErr({
    stage: error.stage ?? 'before_send',
    code: isKnown ? error.code : 'internal',
    detail: detail.replace(/[^\x20-\x7e]/g, '?').slice(0, DETAIL_CHARS_MAX),
    now: Date.now(),
    peer: error.peer ?? Buffer.alloc(0),
  });
}

function pongFrame() {
  const { config, refused } = state;
  return frames.encodePong({
    ...instance(), relay: config.id, software: SOFTWARE, exit: config.exit,
    allowDigest: config.allowDigest, keys: [...config.keys.keys()], now: Date.now(), refused,
  });
}

// Everything behind the signature. Gives the last frame, and has sent those before it.
async function answer(envelope, outlet, signal, arrived) {
  let isAdmitted = false;
  try {
    const call = locks.read(envelope);
    locks.admit(call, envelope.content, state, { now: Date.now(), steadyMs: arrived });
    isAdmitted = true;
    if (call.kind === frames.KIND_PING) return pongFrame();
    outlet.isStreaming = call.mayStream;
    // END is held back, so that it is sent together with the end of the body.
    let last = null;
    const emit = (frame, isLast) => {
      if (!isLast) return outlet.emit(frame);
      last = frame;
      return Promise.resolve();
    };
    await makeCall(call, envelope.content, { config: state.config, instance, emit, signal, arrived });
    return last;
  } catch (error) {
    if (!isAdmitted || error.code === 'destination_forbidden') state.refused += 1n;
    return errFrame(error);
  }
}

async function relay(request, response) {
  const arrived = performance.now();
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  // A gateway that went away is no fault of ours.
  response.on('error', () => {});
  try {
    const { bytes, isBase64 } = unwrap(request);
    const envelope = locks.open(bytes, state.config.keys);
    const outlet = new Outlet(response, isBase64);
    const last = await answer(envelope, outlet, gone.signal, arrived);
    outlet.end(last);
    state.answered += 1;
  } catch (error) {
    if (!(error instanceof Stranger)) throw error;
    refuse(response);
  }
}

functions.http('relay', relay);

module.exports = { relay };
