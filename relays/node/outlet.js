'use strict';

// The answer to the gateway: frames, in one piece or as they come, plain or in Base64.
// Not what they say.

const { answerBegin } = require('./frames');
const { Failure } = require('./failure');

// Cloud Run gives 32 MiB in one piece, and Base64 makes four bytes out of three.
const ONE_PIECE_BYTES_MAX = 20_000_000;

class Outlet {
  constructor(response, isBase64) {
    this.response = response;
    this.isBase64 = isBase64;
    this.isStreaming = false;
    this.isBegun = false;
    // Base64 turns three bytes into four characters, so up to two bytes wait for the next frame.
    this.waiting = Buffer.alloc(0);
    this.collected = [];
    this.collectedBytes = 0;
  }

  begin(length) {
    this.isBegun = true;
    const fields = {
      'Content-Type': this.isBase64 ? 'text/plain' : 'application/octet-stream',
      // Neither kept nor compressed by anything in between.
      'Cache-Control': 'no-store, no-transform',
    };
    if (length !== undefined) fields['Content-Length'] = length;
    this.response.writeHead(200, fields);
  }

  coded(bytes, isLast) {
    if (!this.isBase64) return bytes;
    const all = Buffer.concat([this.waiting, bytes]);
    const whole = isLast ? all.length : all.length - (all.length % 3);
    this.waiting = all.subarray(whole);
    return Buffer.from(all.subarray(0, whole).toString('base64'), 'latin1');
  }

  // Resolves when the gateway takes more.
  emit(frame) {
    if (!this.isStreaming) {
      if (this.collectedBytes + frame.length > ONE_PIECE_BYTES_MAX) {
        return Promise.reject(new Failure('answer_too_large', `more than ${ONE_PIECE_BYTES_MAX} bytes in one piece`));
      }
      this.collected.push(frame);
      this.collectedBytes += frame.length;
      return Promise.resolve();
    }
    let bytes = frame;
    if (!this.isBegun) {
      this.begin();
      bytes = Buffer.concat([answerBegin(), frame]);
    }
    if (this.response.destroyed || this.response.write(this.coded(bytes, false))) return Promise.resolve();
    return new Promise((resolve) => this.response.once('drain', resolve));
  }

  // Sends the last frame, which a full answer in one piece has room for as well.
  end(frame) {
    if (this.isStreaming && this.isBegun) {
      this.response.end(this.coded(frame, true));
      return;
    }
    const bytes = this.coded(Buffer.concat([answerBegin(), ...this.collected, frame]), true);
    this.begin(bytes.length);
    this.response.end(bytes);
  }
}

module.exports = { Outlet };
