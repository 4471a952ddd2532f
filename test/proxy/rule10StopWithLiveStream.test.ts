// http-proxy.md rule 10: `server.close()` does not call back while a stream lives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asSent, bodies } from '../support/bodies.ts';
import { type FakeOllama, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

/** Longer than any test runs: a stop that waits for all of it shows. */
const longDrain = 60_000;

async function openStream(t: Parameters<typeof RawClient.open>[0], guard: TestGuard): Promise<RawClient> {
  const client = await RawClient.open(t, guard.port);
  client.send(bodies.JSON);
  await client.has('first');
  return client;
}

const streaming = (t: Parameters<typeof startFakeOllama>[0]): Promise<FakeOllama> =>
  startFakeOllama(t, (reply) => {
    reply.stream();
    reply.chunk('first');
  });

test('stop cuts a live stream off when its drain is over, and ends the request to Ollama', async (t) => {
  const upstream = await streaming(t);
  const guard = await startGuard(t, upstream);
  const client = await openStream(t, guard);
  await guard.guard.stop(20);
  await client.closed();
  assert.equal((await client.response()).complete, false);
  await (await upstream.reply(0)).closed();
});

test('stop lets a live stream come to its end, and is over with it', async (t) => {
  const upstream = await streaming(t);
  const guard = await startGuard(t, upstream);
  const client = await openStream(t, guard);
  const stopped = guard.guard.stop(longDrain);
  const reply = await upstream.reply(0);
  reply.chunk('last');
  reply.end();
  const { text, complete } = await client.response();
  assert.deepEqual([text, complete], ['firstlast', true]);
  await stopped;
});

test('stop cuts a body that is still coming off when its drain is over, and Ollama gets no whole request', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const clients: RawClient[] = [];
  for (const { body, headers, ...request } of Object.values(bodies)) {
    const client = await RawClient.open(t, guard.port);
    client.send({
      ...request,
      headers: { ...headers, expect: '100-continue', 'content-length': `${body.length + 1}` },
    });
    assert.equal((await client.response()).status, 100);
    client.send(body);
    clients.push(client);
  }
  await upstream.until(() => upstream.heads.length === 1);
  await guard.guard.stop(20);
  for (const client of clients) await client.closed();
  await upstream.until(() => upstream.open === 0);
  assert.deepEqual(upstream.requests, []);
});

for (const [kind, { body, headers, ...request }] of Object.entries(bodies)) {
  test(`stop lets a body that is still coming come to its end, and be answered: ${kind}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    const client = await RawClient.open(t, guard.port);
    client.send({ ...request, headers: { ...headers, expect: '100-continue', 'content-length': `${body.length}` } });
    assert.equal((await client.response()).status, 100);
    const stopped = guard.guard.stop(longDrain);
    client.send(body);
    assert.equal((await client.response()).status, 200);
    await stopped;
    assert.equal(asSent(upstream.requests[0]?.text ?? ''), body);
  });
}

test('stop does not wait for idle connections', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const client = await RawClient.open(t, guard.port);
  client.send({ headers: { authorization: team.mia.bearer } });
  await client.response();
  await guard.guard.stop(longDrain);
  await client.closed();
});

test('stop does not wait for a connection that has not asked for anything yet', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const client = await RawClient.open(t, guard.port);
  await guard.call({ path: '/_guard/health' });
  await guard.guard.stop(longDrain);
  await client.closed();
});

test('stop is over when a sign-in that was under way has been refused', async (t) => {
  const upstream = await startFakeOllama(t);
  const compare = Promise.withResolvers<boolean>();
  const guard = await startGuard(t, upstream, { comparePassword: () => compare.promise });
  const client = await RawClient.open(t, guard.port);
  client.send({ headers: { authorization: team.mia.basic } });
  await guard.call({ path: '/_guard/health' });
  const stopped = guard.guard.stop(longDrain);
  compare.resolve(false);
  assert.equal((await client.response()).status, 401);
  await stopped;
});

test('a request that comes during the drain, on a connection that is kept, is 503', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    if (reply.request.target === '/api/ps') reply.json({ models: [] });
  });
  const guard = await startGuard(t, upstream);
  const headers = { authorization: team.mia.bearer };
  const client = await RawClient.open(t, guard.port);
  client.send(bodies.JSON);
  const reply = await upstream.reply(0);
  const stopped = guard.guard.stop(longDrain);
  client.send({ path: '/api/ps', headers });
  reply.json({ done: true });
  assert.equal((await client.response()).status, 200);
  assert.equal((await client.response()).status, 503);
  await stopped;
  assert.equal(upstream.requests.length, 1);
});
