'use strict';

// What a call has to pass before anything is sent: signature, audience, clock, nonce, content, method, allow-list.
// Not the check of addresses, which comes after resolution; see destination.js.
// The order of `open` and `admit` is the protocol's, and nothing of a later lock happens before an earlier one is passed.

const crypto = require('node:crypto');
const frames = require('./frames');
const { Failure, Stranger } = require('./failure');
const { parseAddress } = require('./destination');

const LIFETIME_MS_MAX = 30_000n;
const CLOCK_AHEAD_MS_MAX = 30_000n;
const NONCE_KEPT_MS = 30_000;
// About 40 MB: enough for a thousand calls a second over the 60 to 90 seconds that a nonce is kept.
const NONCES_MAX = 100_000;
// Below what the platform takes, so that the refusal is ours and has a reason.
const CONTENT_BYTES_MAX = 10_000_000;
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

// Nonces that were used, with a bound on how many.
// `steadyMs` is a clock that is never set back, or a step of the wall clock would let an old call in again.
class Nonces {
  constructor(max = NONCES_MAX) {
    this.max = max;
    this.until = new Map();
    this.sweepFrom = 0;
  }

  use(nonce, keptMs, steadyMs) {
    const name = nonce.toString('latin1');
    if ((this.until.get(name) ?? -1) > steadyMs) throw new Failure('replayed', 'this nonce was used before');
    if (this.until.size >= this.max) this.sweep(steadyMs);
    if (this.until.size >= this.max) throw new Failure('busy', `${this.max} nonces are remembered, and none is old`);
    this.until.set(name, steadyMs + keptMs);
  }

  // Looks at all of them, so not again before the first of them is old: a full memory must stay cheap.
  sweep(steadyMs) {
    if (steadyMs < this.sweepFrom) return;
    let first = Infinity;
    for (const [name, until] of this.until) {
      if (until <= steadyMs) this.until.delete(name);
      else first = Math.min(first, until);
    }
    this.sweepFrom = first;
  }
}

// Names without case and trailing dot, addresses however they are spelled.
function normalHost(host) {
  const address = parseAddress(host);
  return address === null ? host.toLowerCase().replace(/\.$/, '') : address.toString('hex');
}

function normalDestination(host, port) {
  return `${normalHost(host)} ${port}`;
}

// Lock 1: whoever does not pass it learns nothing.
function open(bytes, keys) {
  let envelope;
  let key;
  try {
    envelope = frames.decodeEnvelope(bytes);
    key = keys.get(frames.peekKey(envelope.signed));
  } catch (error) {
    if (error instanceof frames.Malformed) throw new Stranger();
    throw error;
  }
  if (key === undefined) throw new Stranger();
  if (!crypto.verify(null, envelope.message, key, envelope.signature)) throw new Stranger();
  return envelope;
}

// What stands in a request whose signature is good.
function read(envelope) {
  if (envelope.version !== frames.VERSION) {
    throw new Failure('malformed', `version ${envelope.version} of the protocol; this relay speaks ${frames.VERSION}`);
  }
  try {
    return frames.decodeCall(envelope.signed, envelope.kind);
  } catch (error) {
    if (error instanceof frames.Malformed) throw new Failure('malformed', error.message);
    throw error;
  }
}

function checkClock(call, now) {
  const wall = BigInt(now);
  const lifetime = call.expires - call.created;
  if (lifetime < 0n || lifetime > LIFETIME_MS_MAX) throw new Failure('clock_skew', `valid for ${lifetime} ms`);
  if (wall >= call.expires) throw new Failure('clock_skew', `expired ${wall - call.expires} ms ago`);
  if (wall < call.created - CLOCK_AHEAD_MS_MAX) throw new Failure('clock_skew', `created in ${call.created - wall} ms`);
}

function checkContent(call, content) {
  if (content.length > CONTENT_BYTES_MAX) {
    throw new Failure('request_too_large', `this relay takes ${CONTENT_BYTES_MAX} bytes of content`);
  }
  if (call.bodyBytes !== BigInt(content.length)) {
    throw new Failure('altered', `${content.length} bytes of content came, ${call.bodyBytes} were signed`);
  }
  if (!crypto.createHash('sha256').update(content).digest().equals(call.bodyDigest)) {
    throw new Failure('altered', 'the content is not the one that was signed');
  }
}

// Instances of a function share no memory, so each of them would take the same nonce once.
function checkMethod(call, acceptReplay) {
  if (acceptReplay || SAFE_METHODS.has(call.method)) return;
  throw new Failure('unsafe_method', 'a call could be replayed at another instance; see accept_replay');
}

// Locks 2 to 7. `state` has the configuration and the nonces.
function admit(call, content, state, clocks) {
  const { config, nonces } = state;
  if (call.relay !== config.id) throw new Failure('wrong_audience', 'the call is for another relay');
  checkClock(call, clocks.now);
  nonces.use(call.nonce, Number(call.expires) - clocks.now + NONCE_KEPT_MS, clocks.steadyMs);
  checkContent(call, content);
  if (call.kind === frames.KIND_PING) return;
  checkMethod(call, config.acceptReplay);
  if (!config.allowed.has(normalDestination(call.host, call.port))) {
    throw new Failure('not_allowed', `${call.host}:${call.port} is not in the allow-list`);
  }
}

module.exports = { Nonces, open, read, admit, checkClock, normalDestination, CONTENT_BYTES_MAX };
