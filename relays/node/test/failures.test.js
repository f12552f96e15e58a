'use strict';

// What providers do wrong, and at which stage. Each failure has its control: the same call, and a provider that is well.

const assert = require('node:assert/strict');
const { test, before, after } = require('node:test');
const { lab } = require('./lab');

let it;
before(async () => { it = await lab(); });
after(() => it.close());

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

async function control(call, provider = it.plain) {
  provider.says(OK);
  const answer = await it.ask({ port: provider.port, ...call });
  assert.equal(answer.content.toString(), 'ok', answer.err?.detail);
}

async function fails(call, content) {
  const answer = await it.ask(call, content);
  assert.notEqual(answer.err, null, 'no failure was told');
  return { answer, err: answer.err, told: [answer.err.stage, answer.err.code] };
}

test('a refused connection is told before anything was sent', async () => {
  const { err, told } = await fails({ port: it.refusing });
  assert.deepEqual(told, ['before_send', 'connect_refused']);
  assert.deepEqual([...err.peer], [127, 0, 0, 1]);
  await control({});
});

test('a name that does not exist', async () => {
  // Where there is no name server, the resolver says so instead.
  const relayed = await lab({ allow: ['nothing.invalid:80'] });
  const { err } = await relayed.ask({ host: 'nothing.invalid', port: 80 });
  await relayed.close();
  assert.equal(err.stage, 'before_send');
  assert.match(err.code, /^dns_(nx|servfail)$/);
  await control({ host: 'localhost' });
});

test('a certificate for another name', async () => {
  it.wrong.says(OK);
  const { told } = await fails({ port: it.wrong.port, isTls: true, host: 'localhost' });
  assert.deepEqual(told, ['before_send', 'tls_cert']);
  await control({ isTls: true, host: 'localhost' }, it.secure);
});

test('a certificate of an unknown authority', async () => {
  const stranger = await lab({ ca: undefined });
  stranger.secure.says(OK);
  const { err } = await stranger.ask({ port: stranger.secure.port, isTls: true, host: 'localhost' });
  await stranger.close();
  assert.deepEqual([err.stage, err.code], ['before_send', 'tls_cert']);
});

test('a provider that does not speak TLS', async () => {
  it.plain.says(() => {}, 'never', { onConnect: (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n') });
  assert.deepEqual((await fails({ isTls: true, host: 'localhost' })).told, ['before_send', 'tls_protocol']);
  it.plain.says(() => {}, 'never', { onConnect: (socket) => socket.end(Buffer.from('15030300020228', 'hex')) });
  assert.deepEqual((await fails({ isTls: true, host: 'localhost' })).told, ['before_send', 'tls_alert']);
  it.plain.says(() => {}, 'never', { onConnect: (socket) => socket.end() });
  assert.deepEqual((await fails({ isTls: true, host: 'localhost' })).told, ['before_send', 'tls_closed']);
  it.plain.says(() => {}, 'never', { onConnect: (socket) => socket.once('data', () => socket.resetAndDestroy()) });
  assert.deepEqual((await fails({ isTls: true, host: 'localhost' })).told, ['before_send', 'reset']);
  it.plain.says(() => {}, 'never');
  assert.deepEqual((await fails({ isTls: true, host: 'localhost', limits: { tls: 100 } })).told, ['before_send', 'tls_timeout']);
  await control({ isTls: true, host: 'localhost' }, it.secure);
});

test('no answer: closed, reset, too late', async () => {
  it.plain.says((socket) => socket.end());
  assert.deepEqual((await fails({})).told, ['sent', 'closed_without_answer']);
  it.plain.says((socket) => socket.resetAndDestroy());
  assert.deepEqual((await fails({})).told, ['sent', 'reset']);
  it.plain.says(() => {});
  assert.deepEqual((await fails({ limits: { firstByte: 100 } })).told, ['sent', 'read_timeout']);
  assert.deepEqual((await fails({ limits: { total: 150 } })).told, ['sent', 'deadline']);
  await control({});
});

test('a provider that takes no more of the request', async () => {
  it.plain.says(() => {}, 'never', { onConnect: (socket) => socket.pause() });
  const content = Buffer.alloc(9_900_000);
  const { told } = await fails({ method: 'POST', fields: [['Content-Length', ' 9900000']], limits: { idle: 150 } }, content);
  assert.deepEqual(told, ['sent', 'write_timeout']);
});

const CUT = {
  'in the head': 'HTTP/1.1 200 OK\r\nContent-',
  'in a body with Content-Length': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello',
  'in a chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel',
  'before the last chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
  'in the trailers': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n',
};
for (const [where, bytes] of Object.entries(CUT)) {
  for (const mayStream of [false, true]) {
    test(`an answer that ends ${where}${mayStream ? ', streamed' : ''}`, async () => {
      it.plain.says(bytes);
      const { answer, told } = await fails({ mayStream });
      assert.deepEqual(told, ['partial', 'answer_truncated']);
      assert.equal(answer.end, null);
      await control({ mayStream });
    });
  }
}

test('what came of a truncated answer is passed on', async () => {
  it.plain.says(CUT['in a body with Content-Length']);
  const { answer } = await fails({});
  assert.deepEqual([answer.head.status, answer.content.toString()], [200, 'hello']);
});

test('a reset in the middle of an answer, also of one that ends with the connection', async () => {
  for (const fields of ['Content-Length: 10\r\n', '']) {
    it.plain.says((socket) => socket.write(`HTTP/1.1 200 OK\r\n${fields}\r\nhello`, () => setImmediate(() => socket.resetAndDestroy())));
    assert.deepEqual((await fails({})).told, ['partial', 'reset']);
  }
});

test('a provider that stops in the middle of an answer', async () => {
  for (const begin of ['HTTP/1.1 200 OK\r\nConte', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello']) {
    it.plain.says((socket) => socket.write(begin));
    assert.deepEqual((await fails({ limits: { idle: 100 } })).told, ['partial', 'body_timeout']);
  }
});

const MALFORMED = {
  'no HTTP': 'SSH-2.0-x\r\n\r\n',
  'HTTP/2.0 on the line': 'HTTP/2.0 200 OK\r\n\r\n',
  'status 101': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  'status 101 without Upgrade': 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  'status 099': 'HTTP/1.1 099 X\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok',
  'length and coding': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'another coding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  'a coding in HTTP/1.0': 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'no number': 'HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok',
  'a space before the colon': 'HTTP/1.1 200 OK\r\nX : 1\r\n\r\n',
  'a control character': 'HTTP/1.1 200 OK\r\nX: a\x01b\r\n\r\n',
  'a chunk size that is none': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  'a head that is too large': `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(300_000)}\r\n\r\n`,
  'too many fields': `HTTP/1.1 200 OK\r\n${'X: 1\r\n'.repeat(129)}\r\n`,
  'too many interim answers': `${'HTTP/1.1 103 X\r\n\r\n'.repeat(33)}${OK}`,
};
for (const [name, bytes] of Object.entries(MALFORMED)) {
  test(`an answer that is malformed: ${name}`, async () => {
    it.plain.says(bytes);
    assert.deepEqual((await fails({})).told, ['partial', 'answer_malformed']);
  });
}
test('an answer that is not malformed', () => control({}));

test('an answer of 200 KB of head passes', async () => {
  it.plain.says(`HTTP/1.1 200 OK\r\nX: ${'a'.repeat(200_000)}\r\nContent-Length: 0\r\n\r\n`);
  assert.equal((await it.ask({})).head.fields[0][1].length, 200_001);
});

test('an answer that is longer than the gateway takes', async () => {
  it.plain.says('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world');
  assert.deepEqual((await fails({ answerBytesMax: 10 })).told, ['partial', 'answer_too_large']);
  it.plain.says('HTTP/1.1 200 OK\r\n\r\nhello world');
  const { answer, told } = await fails({ answerBytesMax: 10 });
  assert.deepEqual(told, ['partial', 'answer_too_large']);
  assert.equal(answer.content.toString(), 'hello worl');
  it.plain.says('HTTP/1.1 200 OK\r\n\r\nhello world');
  assert.equal((await it.ask({ answerBytesMax: 11 })).content.toString(), 'hello world');
});

test('a limit longer than a timer of Node is no limit of nothing', () => control({ limits: { firstByte: 0xffff_ffff, total: 0xffff_ffff } }));

test('a limit of 0 is none', () => control({ limits: { connect: 0, tls: 0, firstByte: 0, idle: 0, total: 0 } }));

test('a gateway that goes away takes its connection to the provider with it', async () => {
  const closed = new Promise((resolve) => {
    it.plain.says((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\nhello');
      socket.on('close', resolve);
      socket.on('end', () => socket.destroy());
    });
  });
  const response = await it.relay.open(it.gateway.request({ port: it.plain.port, mayStream: true }));
  response.on('error', () => {});
  response.destroy();
  await closed;
  await control({});
});
