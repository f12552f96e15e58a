'use strict';

// What reaches a provider, and what comes back, to the byte.

const assert = require('node:assert/strict');
const { test, before, after } = require('node:test');
const zlib = require('node:zlib');
const tls = require('node:tls');
const crypto = require('node:crypto');
const { lab, latin1, sha256, readAnswer, EMPTY } = require('./lab');

let it;
before(async () => { it = await lab(); });
after(() => it.close());

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

async function sent(call, content, until) {
  it.plain.says(OK, until);
  const answer = await it.ask(call, content);
  assert.equal(answer.err, null, JSON.stringify(answer.err?.code));
  assert.equal(answer.head.status, 200);
  return it.plain.received.toString('latin1');
}

const TARGETS = {
  'an escaped slash, a query with a semicolon': '/a%2Fb?x=1;y=2',
  'raw EUC-KR bytes': '/\xb0\xa1\xb3\xaa?q=\xb0\xa1',
  'every byte that is allowed': latin1(String.fromCharCode(...Array.from({ length: 0xdf }, (_, n) => n + 0x21).filter((c) => c !== 0x7f))).toString('latin1'),
  'characters that Node would escape or refuse': '/|{}[]"^`<>\\',
  'two slashes': '//',
  'dots': '/a/../b/./c/..',
  'an empty query': '/?',
  'a fragment': '/a#b?c',
  'absolute form': 'http://provider.test/a?b',
  'an asterisk': '*',
  '8 KB': `/${'a'.repeat(8191)}`,
  '100 KB': `/${'b'.repeat(100_000)}`,
};
for (const [name, target] of Object.entries(TARGETS)) {
  test(`the target is kept: ${name}`, async () => {
    assert.equal(await sent({ target }), `GET ${target} HTTP/1.1\r\nHost: provider.test\r\n\r\n`);
  });
}

test('fields keep order, case, repetition and whitespace, and none is added', async () => {
  const fields = [
    ['x-B', ' 1'], ['HOST', 'provider.test'], ['X-b', '  2\t '], ['accept', ''], ['X-B', ' 1'],
    ['Cookie', ' a=\xb0\xa1'], ['x_y.z~', ' "q"'],
  ];
  assert.equal(await sent({ fields }),
    'GET / HTTP/1.1\r\nx-B: 1\r\nHOST:provider.test\r\nX-b:  2\t \r\naccept:\r\nX-B: 1\r\nCookie: a=\xb0\xa1\r\nx_y.z~: "q"\r\n\r\n');
});

test('no field at all is sent when none is given', async () => {
  assert.equal(await sent({ fields: [] }), 'GET / HTTP/1.1\r\n\r\n');
});

test('Connection, Expect and Accept-Encoding pass as they are', async () => {
  const fields = [['Connection', ' Keep-Alive'], ['Expect', ' 100-continue'], ['Accept-Encoding', ' br']];
  assert.equal(await sent({ fields }),
    'GET / HTTP/1.1\r\nConnection: Keep-Alive\r\nExpect: 100-continue\r\nAccept-Encoding: br\r\n\r\n');
});

test('128 fields pass', async () => {
  const fields = Array.from({ length: 128 }, (_, n) => [`X-${n}`, ` ${n}`]);
  assert.equal(await sent({ fields }), `GET / HTTP/1.1\r\n${fields.map(([n, v]) => `${n}:${v}\r\n`).join('')}\r\n`);
});

test('the method keeps its case, and HTTP/1.0 stays HTTP/1.0', async () => {
  assert.equal(await sent({ method: 'get', version: 10, fields: [] }), 'get / HTTP/1.0\r\n\r\n');
  assert.equal(await sent({ method: 'M-SEARCH', fields: [] }), 'M-SEARCH / HTTP/1.1\r\n\r\n');
});

test('a body with Content-Length is sent as it is', async () => {
  const content = crypto.randomBytes(300_000);
  const fields = [['Content-Length', ' 300000']];
  const received = await sent({ method: 'POST', fields }, content, content.subarray(-16).toString('latin1'));
  const head = 'POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n';
  assert.equal(received.slice(0, head.length), head);
  assert.ok(latin1(received.slice(head.length)).equals(content));
});

test('a chunked body is sent in chunks, with its trailers behind', async () => {
  const fields = [['Transfer-Encoding', ' chunked'], ['Trailer', ' X-Sum']];
  const received = await sent({ method: 'PUT', fields, trailers: [['X-Sum', ' 1'], ['x-sum', '2']] }, latin1('hello'), '0\r\n');
  assert.equal(received,
    'PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-sum:2\r\n\r\n');
});

test('an empty chunked body is one last chunk', async () => {
  const received = await sent({ method: 'PUT', fields: [['transfer-encoding', 'chunked']] }, EMPTY, '0\r\n\r\n');
  assert.equal(received, 'PUT / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n0\r\n\r\n');
});

async function got(answer, call = {}) {
  it.plain.says(answer);
  return it.ask(call);
}

test('a HEAD frame has everything that is known', async () => {
  const answer = await got('HTTP/1.1 299 Fine So \xb0\xa1\r\nServer: x\r\nsERVER: y\r\nContent-Length: 5\r\nX-Raw: \xb0\xa1\r\n\r\nhello');
  const { head } = answer;
  assert.equal(head.status, 299);
  assert.equal(head.version, 11);
  assert.equal(head.reason, ' Fine So \xb0\xa1');
  assert.deepEqual(head.fields, [['Server', ' x'], ['sERVER', ' y'], ['Content-Length', ' 5'], ['X-Raw', ' \xb0\xa1']]);
  assert.deepEqual([head.framing, head.length], [1, 5n]);
  assert.deepEqual([...head.peer], [127, 0, 0, 1]);
  assert.deepEqual([...head.exit], [203, 0, 113, 7]);
  assert.deepEqual([head.tlsVersion, head.certificate.length, head.stack], [0, 0, 2]);
  assert.match(head.instance, /^[0-9a-f]{16}$/);
  assert.equal(head.times.dns, 0);
  assert.ok(head.times.connect > 0 && head.times.firstByte > 0);
  assert.equal(head.times.tls, 0);
  assert.equal(answer.content.toString(), 'hello');
});

test('an answer of HTTP/1.0 that ends with the connection', async () => {
  const answer = await got('HTTP/1.0 200 OK\r\n\r\nuntil the end');
  assert.deepEqual([answer.head.version, answer.head.framing, answer.head.length], [10, 3, 0n]);
  assert.equal(answer.content.toString(), 'until the end');
});

test('a chunked answer with trailers', async () => {
  const answer = await got('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\nx-sUM: 2\r\n\r\n');
  assert.equal(answer.head.framing, 2);
  assert.equal(answer.content.toString(), 'hello!');
  assert.deepEqual(answer.end.trailers, [['X-Sum', ' 1'], ['x-sUM', ' 2']]);
});

test('HEAD, 204 and 304 have no body, whatever their fields say', async () => {
  for (const [status, method] of [[200, 'HEAD'], [204, 'GET'], [304, 'GET']]) {
    // The connection stays open: the end must be known without it.
    const answer = await got((socket) => socket.write(`HTTP/1.1 ${status} X\r\nContent-Length: 7\r\n\r\n`), { method });
    assert.deepEqual([answer.head.status, answer.head.framing, answer.head.length], [status, 0, 0n]);
    assert.deepEqual(answer.head.fields, [['Content-Length', ' 7']]);
    assert.equal(answer.end.length, 0n);
  }
});

test('the method `head` is not HEAD, so its answer has a body', async () => {
  const answer = await got(OK, { method: 'head' });
  assert.equal(answer.content.toString(), 'ok');
});

test('gzip is left as it is', async () => {
  const packed = zlib.gzipSync('hello hello hello');
  const answer = await got((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`);
    socket.end(packed);
  });
  assert.ok(answer.content.equals(packed));
});

test('Set-Cookie is repeated as it was', async () => {
  const answer = await got('HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n');
  assert.deepEqual(answer.head.fields.slice(0, 3), [['Set-Cookie', ' a=1'], ['set-cookie', ' b=2'], ['Set-Cookie', ' a=1']]);
});

test('a redirect is not followed', async () => {
  const before_ = it.plain.connections;
  const answer = await got('HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n');
  assert.equal(answer.head.status, 302);
  assert.equal(it.plain.connections, before_ + 1);
});

test('103 passes as a HEAD frame, 100 does not', async () => {
  const answer = await got(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`);
  assert.deepEqual(answer.interim.map(({ status, reason, fields, framing }) => [status, reason, fields, framing]),
    [[103, ' Early Hints', [['Link', ' </a>']], 0]]);
  assert.equal(answer.content.toString(), 'ok');
});

test('bytes behind a complete answer are no part of it', async () => {
  const answer = await got(`${OK}HTTP/1.1 500 No\r\n\r\n`);
  assert.equal(answer.err, null);
  assert.equal(answer.content.toString(), 'ok');
});

test('a large answer comes in frames of 64 KiB', async () => {
  const content = crypto.randomBytes(3_000_000);
  const answer = await got((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`);
    socket.end(content);
  });
  assert.ok(answer.content.equals(content));
  assert.ok(answer.pieces.every((piece) => piece.length <= 65_536));
});

test('an answer that comes before the whole request is passed on', async () => {
  const content = crypto.randomBytes(9_000_000);
  it.plain.says((socket) => {
    socket.pause();
    socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno');
  });
  const answer = await it.ask({ method: 'POST', fields: [['Content-Length', ' 9000000']] }, content);
  assert.equal(answer.head.status, 413);
  assert.equal(answer.content.toString(), 'no');
});

// Feeds what comes of a streamed answer to `look`, which says when the provider may go on.
async function streamed(http, isBase64) {
  let goOn;
  const gate = new Promise((resolve) => { goOn = resolve; });
  it.plain.says(async (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n');
    await gate;
    socket.end('3\r\ntwo\r\n0\r\n\r\n');
  });
  const bytes = it.gateway.request({ port: it.plain.port, mayStream: true });
  const response = await it.relay.open(isBase64 ? latin1(bytes.toString('base64')) : bytes, http);
  let body = EMPTY;
  for await (const piece of response) {
    body = Buffer.concat([body, piece]);
    // In Base64 the last bytes of a frame may wait for the next one, so only the beginning of `one` is sure to be there.
    const plain = isBase64 ? Buffer.from(body.toString('latin1'), 'base64') : body;
    if (plain.includes(latin1('\0\0\0\x03o'))) goOn();
  }
  return { response, body };
}

test('with may_stream frames come while the provider still speaks', async () => {
  const { response, body } = await streamed();
  assert.equal(response.headers['transfer-encoding'], 'chunked');
  const answer = readAnswer({ status: response.statusCode, body });
  assert.deepEqual(answer.pieces.map(String), ['one', 'two']);
});

test('Base64 streams too', async () => {
  const { response, body } = await streamed({ headers: { 'Content-Type': 'text/plain' } }, true);
  const text = body.toString('latin1');
  const plain = Buffer.from(text, 'base64');
  assert.equal(plain.toString('base64'), text);
  assert.deepEqual(readAnswer({ status: response.statusCode, body: plain }).pieces.map(String), ['one', 'two']);
});

test('without may_stream the answer is one piece', async () => {
  it.plain.says(OK);
  const { headers, body } = await it.relay.post(it.gateway.request({ port: it.plain.port }));
  assert.equal(headers['content-length'], String(body.length));
  assert.equal(headers['content-type'], 'application/octet-stream');
});

test('Base64 both ways: the same bytes at the provider, the same frames back', async () => {
  it.plain.says(OK);
  const content = latin1('\0\xff\xb0\xa1');
  const bytes = it.gateway.request({ port: it.plain.port, method: 'POST', target: '/\xb0', fields: [['Content-Length', ' 4']] }, content);
  const answer = await it.relay.post(latin1(bytes.toString('base64')), { headers: { 'Content-Type': 'text/plain' } });
  assert.equal(answer.headers['content-type'], 'text/plain');
  const text = answer.body.toString('latin1');
  assert.match(text, /^[A-Za-z0-9+/]+={0,2}$/);
  const read = readAnswer({ status: answer.status, body: Buffer.from(text, 'base64') });
  assert.equal(read.content.toString(), 'ok');
  assert.equal(it.plain.received.toString('latin1'), 'POST /\xb0 HTTP/1.1\r\nContent-Length: 4\r\n\r\n\0\xff\xb0\xa1');
});

test('over TLS: name sent, certificate, version and times told', async () => {
  it.secure.says(OK);
  const answer = await it.ask({ port: it.secure.port, isTls: true, host: 'LocalHost', target: '/\xb0\xa1' });
  assert.equal(answer.err, null, answer.err?.detail);
  assert.equal(it.secure.servername, 'LocalHost');
  assert.equal(it.secure.received.toString('latin1'), 'GET /\xb0\xa1 HTTP/1.1\r\nHost: provider.test\r\n\r\n');
  assert.equal(answer.head.tlsVersion, 0x0304);
  const der = new crypto.X509Certificate(it.certificate).raw;
  assert.ok(answer.head.certificate.equals(sha256(der)));
  assert.ok(answer.head.times.dns > 0 && answer.head.times.tls > 0);
  assert.equal(answer.content.toString(), 'ok');
});

test('a trailing dot of the host is neither sent nor compared in TLS', async () => {
  it.secure.says(OK);
  const answer = await it.ask({ port: it.secure.port, isTls: true, host: 'localhost.', pinned: Buffer.from([127, 0, 0, 1]) });
  assert.equal(answer.err, null, answer.err?.detail);
  assert.equal(it.secure.servername, 'localhost');
});

test('a pinned address is dialled instead of resolving the name, which is still checked in TLS', async () => {
  it.secure.says(OK);
  const answer = await it.ask({ port: it.secure.port, isTls: true, host: 'localhost', pinned: Buffer.from([127, 0, 0, 1]) });
  assert.equal(answer.content.toString(), 'ok');
  assert.equal(answer.head.times.dns, 0);
  assert.equal(it.secure.servername, 'localhost');
});

test('Node offers no TLS below 1.2', () => {
  assert.equal(tls.DEFAULT_MIN_VERSION, 'TLSv1.2');
});
