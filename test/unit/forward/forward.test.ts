import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { parseConfig } from '../../../src/guard/config.ts';
import { createForward, type Forward, type Forwarding } from '../../../src/guard/forward/forward.ts';
import { type FakeOllama, startFakeOllama } from '../../support/fakeOllama.ts';
import { chunk } from '../../support/http1.ts';
import { RawClient, type RawRequest, request } from '../../support/rawClient.ts';
import { checked } from '../body/support.ts';

const maxBodyBytes = 1_000;
const path = '/api/chat';
const last = '0\r\n\r\n';
const post = (body: string, more: Partial<RawRequest> = {}): RawRequest => ({ method: 'POST', path, body, ...more });

/** What becomes of a request. */
type Handle = (forward: Forward, req: IncomingMessage, res: ServerResponse) => void;

/** A server that forwards; it ends with the test. Gives its port. */
async function serve(t: TestContext, upstream: Pick<FakeOllama, 'url'>, handle: Handle): Promise<number> {
  const config = parseConfig({ host: '127.0.0.1', port: 0, upstream: upstream.url });
  const forward = createForward(config);
  t.after(() => forward.close());
  const server = createServer((req, res) => {
    req.on('error', () => res.destroy());
    handle(forward, req, res);
  });
  server.on('checkContinue', (req, res) => server.emit('request', req, res));
  server.listen(0, '127.0.0.1');
  t.after(() => server.close().closeAllConnections());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Sends requests on at once, as they come. */
const flowing =
  (forwarding: Partial<Forwarding> = {}): Handle =>
  (forward, req, res) =>
    forward(req, res, { path, body: 'json', maxBodyBytes, ...forwarding });

/** Reads what the client sends to its end, and then sends something else. */
const reading =
  (forwarding: Partial<Forwarding>): Handle =>
  (forward, req, res) => {
    req.once('end', () => forward(req, res, { path, body: 'json', maxBodyBytes, ...forwarding })).resume();
  };

test('P2: a client that is gone before its request goes out leaves no request behind', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const port = await serve(t, upstream, (forward, req, res) => {
    res.once('close', () => flowing()(forward, req, res));
    res.destroy();
  });
  const client = await RawClient.open(t, port);
  client.send(post('{}'));
  await client.closed();
  await upstream.until(() => upstream.connections === 1 && upstream.open === 0);
  assert.deepEqual(upstream.seen, []);
});

const sentBody = checked('{"mod', 'el":"m"}');

for (const [how, sent] of [
  ['by its length', post('what the client sent')],
  ['in chunks', post(`4\r\nwhat\r\n${last}`, { headers: { 'transfer-encoding': 'chunked' } })],
  ['none', { method: 'POST', path }],
  ['with DELETE, in chunks', post(`4\r\nwhat\r\n${last}`, { method: 'DELETE', lines: ['Transfer-Encoding: chunked'] })],
] as const) {
  test(`a body that was checked is sent in place of the client's, by its own length: ${how}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const port = await serve(t, upstream, reading({ checked: sentBody }));
    assert.equal((await request(t, port, { lines: ['Content-Type: text/x-client'], ...sent })).status, 200);
    const [received] = upstream.requests;
    assert.equal(received?.text, '{"model":"m"}');
    assert.equal(received?.headers['content-length'], '13');
    assert.equal(received?.headers['transfer-encoding'], undefined);
  });
}

test("a body that was checked has the client's type, or its own when it was written anew", async (t) => {
  const upstream = await startFakeOllama(t);
  const typed = { ...sentBody, contentType: 'multipart/form-data; boundary=new' };
  const port = await serve(t, upstream, (forward, req, res) => {
    reading({ checked: req.url === '/form' ? typed : sentBody })(forward, req, res);
  });
  const headers = { 'content-type': 'text/x-client' };
  await request(t, port, post('x', { headers }));
  await request(t, port, post('x', { path: '/form', headers }));
  assert.deepEqual(
    upstream.requests.map((received) => received.headers['content-type']),
    ['text/x-client', 'multipart/form-data; boundary=new'],
  );
});

test('who sends a body that was checked is not asked for it once more', async (t) => {
  const upstream = await startFakeOllama(t);
  const port = await serve(t, upstream, flowing({ checked: sentBody }));
  const client = await RawClient.open(t, port);
  client.send({ method: 'POST', path, headers: { expect: '100-continue', 'content-length': '5' } });
  assert.equal((await client.response()).status, 200);
});

test('a body that was checked is not sent again when a kept connection fails: Ollama may have acted on it', async (t) => {
  const upstream = await startFakeOllama(t);
  const port = await serve(t, upstream, reading({ checked: sentBody }));
  assert.equal((await request(t, port, post('x'))).status, 200);
  upstream.answer = (reply) => reply.die();
  assert.equal((await request(t, port, post('x'))).status, 502);
  assert.deepEqual([upstream.requests.length, upstream.connections], [2, 1]);
});

test('a large body that was checked arrives whole, also at an Ollama that is slow to take it', async (t) => {
  const upstream = await startFakeOllama(t);
  const parts = Array.from({ length: 64 }, (_, index) => Buffer.alloc(100_000, index));
  const length = 6_400_000;
  const port = await serve(t, upstream, reading({ checked: { ...sentBody, parts, length } }));
  assert.equal((await request(t, port, post('x'))).status, 200);
  assert.ok(upstream.requests[0]?.body.equals(Buffer.concat(parts)));
});

test('a body that flows by is 413 as soon as it grows beyond the limit, and no request of it is complete', async (t) => {
  const upstream = await startFakeOllama(t);
  const port = await serve(t, upstream, flowing());
  const client = await RawClient.open(t, port);
  client.send({ method: 'POST', path, headers: { 'transfer-encoding': 'chunked' } });
  client.send(chunk('x'.repeat(maxBodyBytes)));
  await upstream.until(() => upstream.heads.length === 1);
  client.send(chunk('x'));
  assert.equal((await client.response()).status, 413);
  await upstream.until(() => upstream.open === 0);
  assert.deepEqual(upstream.seen, []);
});

test('an answer that has begun is cut off when the body that flows by grows beyond the limit', async (t) => {
  // Answers before it has read the body.
  const upstream = createTcpServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('first')}`);
      });
  }).listen(0, '127.0.0.1');
  t.after(() => upstream.close());
  await once(upstream, 'listening');
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  const client = await RawClient.open(t, await serve(t, { url }, flowing()));
  client.send({ method: 'POST', path, headers: { 'transfer-encoding': 'chunked' } });
  client.send(chunk('x'));
  await client.has('first');
  client.send(chunk('x'.repeat(maxBodyBytes)));
  const { status, text, complete } = await client.response();
  assert.deepEqual([status, text, complete], [200, 'first', false]);
});

test('an answer of status 200 has the body that it is given, and its length', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.text('{"a":1}', 'application/json'));
  const seen: string[] = [];
  const rewrite = (body: Buffer) => {
    seen.push(body.toString());
    return Buffer.from('{"b":"ä"}');
  };
  const port = await serve(t, upstream, flowing({ body: 'none', rewrite }));
  const { status, text, headers, complete } = await request(t, port, {});
  assert.deepEqual([status, text, complete], [200, '{"b":"ä"}', true]);
  assert.deepEqual([headers['content-length'], headers['content-type']], ['10', 'application/json']);
  assert.equal(headers['transfer-encoding'], undefined);

  upstream.answer = (reply) => {
    reply.stream('application/json');
    for (const piece of ['{"c"', ':', '2}']) reply.chunk(piece);
    reply.end();
  };
  const streamed = await request(t, port, {});
  assert.deepEqual([streamed.text, streamed.headers['content-length']], ['{"b":"ä"}', '10']);
  assert.deepEqual(seen, ['{"a":1}', '{"c":2}'], 'it is given whole');
});

test('an answer of another status is passed on as it is', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ error: 'busy' }, 500));
  const port = await serve(t, upstream, flowing({ body: 'none', rewrite: () => assert.fail('rewritten') }));
  const { status, text } = await request(t, port, {});
  assert.deepEqual([status, text], [500, '{"error":"busy"}']);
});

test('an answer to HEAD has no body, and no length of one that was not written', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ models: [] }));
  const port = await serve(t, upstream, flowing({ body: 'none', rewrite: () => assert.fail('rewritten') }));
  const client = await RawClient.open(t, port);
  for (let i = 0; i < 2; i++) {
    client.send({ method: 'HEAD' });
    const { status, headers } = await client.response({ head: true });
    assert.deepEqual([status, headers['content-length']], [200, undefined]);
  }
  assert.equal(client.pending, '');
});

const secret = '{"models":["secret"';

for (const [what, answer] of [
  ['cannot be rewritten', (reply) => reply.text('secret')],
  [
    'breaks off',
    (reply) => {
      reply.stream('application/json');
      reply.chunk(secret);
      reply.die();
    },
  ],
  [
    'is reset',
    (reply) => {
      reply.stream('application/json');
      reply.chunk(secret);
      reply.reset();
    },
  ],
  [
    'is shorter than it says',
    (reply) => {
      reply.raw(`HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${secret}`);
      reply.die();
    },
  ],
  [
    'does not end',
    (reply) => {
      reply.stream('application/json');
      for (let i = 0; i < 80; i++) reply.chunk(secret.padEnd(64 * 1024));
    },
  ],
] satisfies readonly (readonly [string, FakeOllama['answer']])[]) {
  test(`of an answer that ${what} nothing is shown, and Ollama is let go`, async (t) => {
    const upstream = await startFakeOllama(t, answer);
    const rewrite = () => {
      throw new Error('no list');
    };
    const port = await serve(t, upstream, flowing({ path: '/v1/models', body: 'none', rewrite }));
    const client = await RawClient.open(t, port);
    client.send({});
    const { status, text } = await client.response();
    assert.deepEqual([status, JSON.parse(text).error.code], [502, 'upstream-failed']);
    // The connection is good for the next request.
    upstream.answer = (reply) => reply.json({}, 404);
    client.send({});
    assert.equal((await client.response()).status, 404);
    assert.equal(client.pending, '');
    await upstream.until(() => upstream.open <= 1);
  });
}

test('a client that leaves while its answer is collected lets Ollama go', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream('application/json');
    reply.chunk(secret);
  });
  const port = await serve(t, upstream, flowing({ body: 'none', rewrite: () => assert.fail('rewritten') }));
  const client = await RawClient.open(t, port);
  client.send({});
  const reply = await upstream.reply(0);
  client.socket.destroy();
  await reply.closed();
});

for (const [kind, more] of [
  ['flows by', {}],
  ['is rewritten', { rewrite: (body: Buffer) => body }],
] as const) {
  test(`headers are set beside those of an answer that ${kind}, and over them`, async (t) => {
    const upstream = await startFakeOllama(t, (reply) => {
      reply.raw('HTTP/1.1 200 OK\r\nX-Given: of Ollama\r\nX-Other: of Ollama\r\nContent-Length: 2\r\n\r\n{}');
    });
    const port = await serve(t, upstream, flowing({ body: 'none', headers: { 'x-given': 'ours' }, ...more }));
    const { headers } = await request(t, port, {});
    assert.deepEqual([headers['x-given'], headers['x-other']], ['ours', 'of Ollama']);
  });
}

test('whoever watches answers is given the one that flows to the client, whatever its status, and once', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ error: 'no' }, 404));
  const statuses: unknown[] = [];
  const onAnswer = ({ statusCode }: IncomingMessage) => statuses.push(statusCode);
  const port = await serve(t, upstream, reading({ checked: sentBody, onAnswer }));
  await request(t, port, post('x'));
  assert.deepEqual(statuses, [404]);
  await upstream.stop();
  assert.equal((await request(t, port, post('x'))).status, 503);
  assert.deepEqual(statuses, [404], 'a refusal of the guard is none');
});
