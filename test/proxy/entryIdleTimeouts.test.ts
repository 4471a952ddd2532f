// SEC-65, SEC-66: what stalls is ended, what lives or loads is left alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const idleTimeoutMs = 500;
const config = { idleTimeoutMs };
const headers = { authorization: team.adam.bearer };
const post = { method: 'POST', path: '/api/chat', headers };
/** It comes in these pieces. */
const pieces = ['{"mo', 'd', 'el"', ':', '"m', '"}'];
const body = pieces.join('');

for (const [kind, path] of [
  ['a body that is read', '/api/chat'],
  ['a blob upload', `/api/blobs/sha256:${'0'.repeat(64)}`],
] as const) {
  const byLength = { method: 'POST', path, headers: { ...headers, 'content-length': `${body.length}` } };
  const inChunks = { method: 'POST', path, headers: { ...headers, 'transfer-encoding': 'chunked' } };

  test(`${kind} that stops coming is 408, and Ollama is let go`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { config });
    const client = await RawClient.open(t, guard.port);
    client.send(byLength);
    client.send('{"mo');
    assert.equal((await client.response()).status, 408);
    await client.closed();
    await upstream.until(() => upstream.open === 0);
    assert.deepEqual(upstream.seen, []);
  });

  test(`${kind} that is slow lives as long as any byte of it comes: by its length`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { config });
    const client = await RawClient.open(t, guard.port);
    client.send(byLength);
    for (const piece of pieces) {
      await sleep(idleTimeoutMs / 4);
      client.send(piece);
    }
    assert.equal((await client.response()).status, 200);
    assert.equal(upstream.requests[0]?.text, body);
  });

  test(`${kind} that is slow lives as long as any byte of it comes: in chunks`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { config });
    const client = await RawClient.open(t, guard.port);
    client.send(inChunks);
    for (const piece of pieces) {
      await sleep(idleTimeoutMs / 4);
      client.send(chunk(piece));
    }
    client.send('0\r\n\r\n');
    assert.equal((await client.response()).status, 200);
    assert.equal(upstream.requests[0]?.text, body);
  });
}

test('a model that loads for longer than the idle time-out is waited for', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    setTimeout(() => reply.json({ done: true }), 1.5 * idleTimeoutMs);
  });
  const guard = await startGuard(t, upstream, { config });
  const client = await RawClient.open(t, guard.port);
  client.send({ ...post, body });
  assert.equal((await client.response()).text, '{"done":true}');
});

test('a stream with pauses longer than the idle time-out goes on', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream();
    reply.chunk('first');
    setTimeout(() => {
      reply.chunk('last');
      reply.end();
    }, 1.5 * idleTimeoutMs);
  });
  const guard = await startGuard(t, upstream, { config });
  const client = await RawClient.open(t, guard.port);
  client.send({ ...post, body });
  const { text, complete } = await client.response();
  assert.deepEqual([text, complete], ['firstlast', true]);
});

test('a client that stops taking its stream is ended, and Ollama is let go', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream();
    const more = () => {
      while (!reply.socket.destroyed && reply.socket.write(chunk(Buffer.alloc(64 * 1024)))) {}
    };
    reply.socket.on('drain', more);
    more();
  });
  const guard = await startGuard(t, upstream, { config });
  const client = await RawClient.open(t, guard.port, { paused: true });
  client.send({ ...post, body });
  await (await upstream.reply(0)).closed();
});

for (const [kind, request] of [
  ['with a body', { ...post, body }],
  ['without one', { path: '/api/version', headers }],
  ['for a list', { path: '/api/tags', headers }],
] as const) {
  test(`an Ollama that says nothing for longer than it may is 504: a request ${kind}`, async (t) => {
    const upstream = await startFakeOllama(t, () => {});
    const guard = await startGuard(t, upstream, { config: { upstreamIdleTimeoutMs: 60 } });
    assert.equal((await guard.call(request)).status, 504);
    await upstream.until(() => upstream.open === 0);
  });
}

test('a list that Ollama begins and does not end is shown to nobody', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream('application/json');
    reply.chunk('{"models":[');
  });
  const guard = await startGuard(t, upstream, { config: { upstreamIdleTimeoutMs: 60 } });
  const response = await guard.call({ path: '/api/tags', headers });
  assert.equal(response.status, 504);
  assert.ok(!response.text.includes('models'));
  await upstream.until(() => upstream.open === 0);
});

test('an Ollama that falls silent in the middle of an answer breaks it off', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream();
    reply.chunk('first');
  });
  const guard = await startGuard(t, upstream, { config: { upstreamIdleTimeoutMs: 60 } });
  const response = await guard.call({ ...post, body });
  assert.deepEqual([response.status, response.text, response.complete], [200, 'first', false]);
});

test('every byte of Ollama starts its time anew', async (t) => {
  const upstream = await startFakeOllama(t, async (reply) => {
    reply.stream();
    for (let i = 0; i < 6; i++) {
      await sleep(125);
      reply.chunk('x');
    }
    reply.end();
  });
  const guard = await startGuard(t, upstream, { config: { upstreamIdleTimeoutMs: 500 } });
  const response = await guard.call({ ...post, body });
  assert.deepEqual([response.text, response.complete], ['xxxxxx', true]);
});
