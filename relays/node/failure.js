'use strict';

// Why a call was not made, or not finished.
// Not a fault of this program: those are ordinary errors, and are told as `internal`.
// `code` stays a code of the relay protocol, because the gateway decides by it.

class Failure extends Error {
  constructor(code, detail) {
    super(`${code}: ${detail}`);
    this.code = code;
    this.detail = detail;
  }
}

// A request that gets the answer 403 and no reason, because it may come from a stranger.
class Stranger extends Error {}

module.exports = { Failure, Stranger };
