// SEC-64, SEC-70, SEC-71: tokens come when they come, as they come, to the last one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const post = { method: 'POST', headers: { authorization: team.mia.bearer }, body: '{"model":"demo"}' };

for (const connection of upstreamConnections) {
  test(`SEC-64: each record arrives before the next is written (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t, () => {});
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const client = await RawClient.open(t, guard.port);
    client.send({ ...post, path: '/api/generate' });
    const reply = await upstream.reply(before);
    reply.stream();
    await client.has('\r\n\r\n');
    for (let i = 0; i < 5; i++) {
      reply.chunk(`{"response":"${i}"}\n`);
      await client.has(`{"response":"${i}"}\n`);
    }
    reply.end();
    const { headers, complete } = await client.response();
    assert.equal(complete, true);
    assert.equal(headers['x-accel-buffering'], 'no');
    assert.equal(headers['content-type'], 'application/x-ndjson');
  });
}

test('SEC-71: the records of a stream are delivered to the last, also when Ollama closes right behind it', async (t) => {
  const records = Array.from({ length: 200 }, (_, i) => `{"response":"${i}"}\n`).join('');
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream('application/x-ndjson', ['Connection: close']);
    reply.chunk(records);
    reply.chunk('{"done":true}\n');
    reply.end();
    reply.socket.end();
  });
  const guard = await startGuard(t, upstream);
  const response = await guard.call({ ...post, path: '/api/generate' });
  assert.equal(response.text, `${records}{"done":true}\n`);
  assert.equal(response.complete, true);
});

test('an error in the middle of a stream is delivered as Ollama wrote it', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream();
    reply.chunk('{"response":"a"}\n');
    reply.chunk('{"error":"an error was encountered while running the model"}\n');
    reply.end();
  });
  const guard = await startGuard(t, upstream);
  const { status, text, complete } = await guard.call({ ...post, path: '/api/chat' });
  assert.deepEqual([status, complete], [200, true]);
  assert.ok(text.endsWith('{"error":"an error was encountered while running the model"}\n'));
});

test('an answer that ends with its connection is delivered whole', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.raw('HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nto the end');
    reply.socket.end();
  });
  const guard = await startGuard(t, upstream);
  const { text, complete } = await guard.call({ path: '/api/version', headers: post.headers });
  assert.deepEqual([text, complete], ['to the end', true]);
});

test('SEC-70: status, content type and every byte of an answer stay as they are', async (t) => {
  const anyBytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 256));
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const type of ['application/json; charset=utf-8', 'application/x-ndjson', 'text/event-stream', 'x/y']) {
    for (const status of [200, 201, 400, 404, 429, 500]) {
      upstream.answer = (reply) => reply.text(anyBytes, type, status);
      const response = await guard.call({ ...post, path: '/v1/chat/completions' });
      assert.equal(response.status, status);
      assert.equal(response.headers['content-type'], type);
      assert.ok(response.body.equals(anyBytes));
    }
  }
});

test('every byte of a request body stays as it is', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256));
  const headers = { authorization: team.adam.bearer };
  await guard.call({ ...post, headers, path: `/api/blobs/sha256:${'0'.repeat(64)}`, body: bytes });
  assert.ok(upstream.requests[0]?.body.equals(bytes));
  const json = ` { "prompt" : "${'\\u00e4ä'.repeat(30_000)}", "model":"demo"}\n`;
  await guard.call({ ...post, path: '/api/generate', body: json });
  assert.equal(upstream.requests[1]?.text, json);
});

test('HEAD is answered with the length and without the body', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const client = await RawClient.open(t, guard.port);
  for (let i = 0; i < 2; i++) {
    client.send({ method: 'HEAD', path: '/api/version', headers: post.headers });
    const { status, headers } = await client.response({ head: true });
    assert.deepEqual([status, headers['content-length']], [200, '13']);
  }
});

test('a client of HTTP/1.0 gets the stream unchunked, to the end of the connection', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream();
    reply.chunk('first');
    reply.chunk('last');
    reply.end();
  });
  const guard = await startGuard(t, upstream);
  const { text, headers } = await guard.call({ ...post, path: '/api/chat', version: '1.0' });
  assert.equal(text, 'firstlast');
  assert.equal(headers['transfer-encoding'], undefined);
});

test('cookies, server names and CORS of Ollama stay with the guard', async (t) => {
  const upstream = await startFakeOllama(t, (reply) =>
    reply.raw(
      'HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nServer: x\r\nAccess-Control-Allow-Origin: *\r\n' +
        'Access-Control-Expose-Headers: x\r\nX-Request-Id: 7\r\nContent-Length: 13\r\n\r\n{"models":[]}',
    ),
  );
  const guard = await startGuard(t, upstream);
  // An answer that flows by, a list that is written anew, and the answer to a body that was checked.
  for (const request of [
    { path: '/api/version', headers: post.headers },
    { path: '/api/tags', headers: post.headers },
    { ...post, path: '/api/chat' },
  ]) {
    const { headers } = await guard.call(request);
    for (const name of ['set-cookie', 'server', 'access-control-allow-origin', 'access-control-expose-headers']) {
      assert.equal(headers[name], undefined, `${name} of ${request.path}`);
    }
    assert.equal(headers['x-request-id'], '7', request.path);
  }
});
