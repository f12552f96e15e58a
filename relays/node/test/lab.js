'use strict';

// A gateway, providers and certificates for the tests; the relay runs as its own process, as it does when deployed.
// Providers are raw sockets, so that every byte that reaches them is seen.

const { execFileSync, spawn } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const tls = require('node:tls');
const frames = require('../frames');

const ROOT = path.join(__dirname, '..');
const EMPTY = Buffer.alloc(0);
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest();
const latin1 = (text) => Buffer.from(text, 'latin1');

function keyPair() {
  const { publicKey, privateKey } = crypto.generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url');
  return { privateKey, public: raw.toString('base64') };
}

// An authority, and a certificate of it for each of the names.
function certificates(directory, names) {
  const at = (name) => path.join(directory, name);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...ec, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '30', '-subj', '/CN=test CA');
  const made = { ca: at('ca.pem') };
  for (const [n, name] of names.entries()) {
    openssl('req', ...ec, '-keyout', at(`${n}.key`), '-out', at(`${n}.csr`), '-subj', '/CN=test');
    fs.writeFileSync(at(`${n}.ext`), `subjectAltName=${name}\n`);
    openssl('x509', '-req', '-in', at(`${n}.csr`), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial',
      '-days', '30', '-extfile', at(`${n}.ext`), '-out', at(`${n}.pem`));
    made[name] = { key: fs.readFileSync(at(`${n}.key`)), cert: fs.readFileSync(at(`${n}.pem`)) };
  }
  return made;
}

// A provider that follows a script: `until` ends the request, then `answer(socket, received)` speaks.
class Provider {
  constructor() {
    this.connections = 0;
    this.sockets = new Set();
    this.script = { until: latin1('\r\n\r\n'), answer: ok };
  }

  async listen(server, host = '127.0.0.1') {
    this.server = server;
    server.on(server instanceof tls.Server ? 'secureConnection' : 'connection', (socket) => this.serve(socket));
    server.on('tlsClientError', () => {});
    await new Promise((resolve) => server.listen(0, host, resolve));
    this.port = server.address().port;
    return this;
  }

  serve(socket) {
    this.connections += 1;
    this.received = EMPTY;
    this.sockets.add(socket);
    this.servername = socket.servername;
    let answered = false;
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
    const { until, answer, onConnect } = this.script;
    if (onConnect) onConnect(socket);
    socket.on('data', (piece) => {
      this.received = Buffer.concat([this.received, piece]);
      if (answered || !this.received.includes(until)) return;
      answered = true;
      answer(socket, this.received);
    });
  }

  // Sets what follows; the answer is bytes, or a function.
  says(answer, until = '\r\n\r\n', rest = {}) {
    const speak = typeof answer === 'function' ? answer : (socket) => socket.end(latin1(answer));
    this.script = { until: latin1(until), answer: speak, ...rest };
    this.received = EMPTY;
  }

  close() {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

function ok(socket) {
  socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
}

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

class Relay {
  constructor(config) {
    this.config = config;
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'byway-relay-'));
    this.log = '';
  }

  async start() {
    const file = path.join(this.directory, 'relay.json');
    fs.writeFileSync(file, JSON.stringify(this.config));
    this.port = await freePort();
    const program = path.join(ROOT, 'node_modules', '.bin', 'functions-framework');
    this.process = spawn(process.execPath, [program, '--target=relay', `--port=${this.port}`], {
      cwd: ROOT, env: { ...process.env, BYWAY_RELAY_CONFIG: file, NODE_ENV: '' }, stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.exited = new Promise((resolve) => this.process.once('exit', resolve));
    await new Promise((resolve, reject) => {
      const hear = (piece) => {
        this.log += piece;
        if (this.log.includes('URL: ')) resolve();
      };
      this.process.stdout.on('data', hear);
      this.process.stderr.on('data', hear);
      this.process.once('exit', () => reject(new Error(`the relay did not start: ${this.log}`)));
    });
    return this;
  }

  // Gives the answer as it begins; its body is read by whoever asked.
  open(bytes, options = {}) {
    return new Promise((resolve, reject) => {
      const request = http.request({
        host: '127.0.0.1', port: this.port, agent: false, method: options.method ?? 'POST', path: options.path ?? '/',
        headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': bytes.length, ...options.headers },
      }, resolve);
      request.on('error', reject);
      request.end(bytes);
    });
  }

  async post(bytes, options) {
    const response = await this.open(bytes, options);
    const pieces = [];
    for await (const piece of response) pieces.push(piece);
    return { status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) };
  }

  async stop() {
    this.process.kill();
    await this.exited;
    fs.rmSync(this.directory, { recursive: true });
  }
}

class Gateway {
  constructor(keys) {
    this.keys = keys;
  }

  // A signed request. `change` gets what was signed, and may alter it before it is sent.
  request(call, content = EMPTY, options = {}) {
    const created = options.created ?? Date.now();
    const whole = {
      relay: 'gcf-1', key: 'k1', created, expires: created + (options.lifetime ?? 30_000), nonce: crypto.randomBytes(16),
      answerBytesMax: 10_000_000, mayStream: false, isTls: false, host: '127.0.0.1', port: 1, pinned: EMPTY,
      version: 11, method: 'GET', target: '/', fields: [['Host', ' provider.test']], trailers: [],
      bodyBytes: content.length, bodyDigest: sha256(content), ...call,
      limits: { connect: 5000, tls: 5000, firstByte: 5000, idle: 5000, total: 20_000, ...call.limits },
    };
    const key = options.privateKey ?? this.keys.privateKey;
    const sign = (bytes) => crypto.sign(null, bytes, key);
    return frames.encodeRequest(options.kind ?? frames.KIND_CALL, frames.encodeSigned(whole), options.sent ?? content, sign);
  }

  ping(call = {}, options = {}) {
    return this.request({ host: '', method: '', target: '', port: 0, fields: [], ...call }, EMPTY,
      { kind: frames.KIND_PING, ...options });
  }
}

// The answer as frames, and its content checked against END.
function readAnswer({ status, body }) {
  if (status !== 200) throw new Error(`status ${status}: ${body}`);
  const answer = frames.decodeAnswer(body);
  answer.content = Buffer.concat(answer.pieces);
  if (answer.end !== null) {
    if (answer.end.length !== BigInt(answer.content.length)) throw new Error('the length in END is wrong');
    if (!answer.end.digest.equals(sha256(answer.content))) throw new Error('the digest in END is wrong');
  }
  return answer;
}

// Everything together: one provider without TLS, one with, one with a certificate for another name.
async function lab(changes = {}) {
  const keys = keyPair();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'byway-lab-'));
  const made = certificates(directory, ['DNS:localhost', 'DNS:other.test']);
  const plain = await new Provider().listen(net.createServer({ allowHalfOpen: true }));
  const secure = await new Provider().listen(tls.createServer(made['DNS:localhost']));
  const wrong = await new Provider().listen(tls.createServer(made['DNS:other.test']));
  const refusing = await freePort();
  const ports = [plain.port, secure.port, wrong.port, refusing];
  const config = {
    id: 'gcf-1', keys: [{ id: 'k1', public: keys.public }], networks: ['127.0.0.0/8'], exit: '203.0.113.7',
    allow: ports.flatMap((port) => [`127.0.0.1:${port}`, `localhost:${port}`]),
    accept_replay: 'the tests send POST', ca: made.ca, ...changes,
  };
  const relay = await new Relay(config).start();
  const gateway = new Gateway(keys);
  return {
    keys, plain, secure, wrong, refusing, relay, gateway, config, certificate: made['DNS:localhost'].cert,
    async ask(call, content, options) {
      const to = { port: plain.port, ...call };
      return readAnswer(await relay.post(gateway.request(to, content, options), options?.http));
    },
    async close() {
      for (const provider of [plain, secure, wrong]) provider.close();
      await relay.stop();
      fs.rmSync(directory, { recursive: true });
    },
  };
}

module.exports = { lab, Relay, Gateway, readAnswer, keyPair, sha256, latin1, EMPTY };
