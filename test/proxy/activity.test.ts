/** The owner sees what goes on and can end it; watching changes nothing for the clients. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const headers = { authorization: team.mia.bearer };
const chat = { method: 'POST', path: '/api/chat', headers, body: '{"model":"llama3.2","messages":[]}' };
const idOf = (name: string): string => team.users.find((user) => user.name === name)?.id ?? '';

test('a stream shows with its user, model and tokens while it runs, and what became of it after', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream);
  guard.guard.watchActivity(true);
  assert.deepEqual(guard.reports.at(-1)?.activity, { active: [], done: [], connected: [] });
  const client = await RawClient.open(t, guard.port);
  client.send(chat);
  const reply = await upstream.reply(0);
  const { active } = await guard.activity(({ active: [first] }) => first?.model !== undefined);
  const { startedAt, ...shown } = active[0] ?? assert.fail();
  assert.deepEqual(shown, {
    id: 1,
    user: 'mia',
    method: 'POST',
    path: '/api/chat',
    address: '127.0.0.1',
    model: 'llama3.2:latest',
    tokens: 0,
  });
  assert.ok(Math.abs(Date.now() - startedAt) < 60_000);

  reply.stream();
  reply.chunk('{"message":{"content":"a"}}\n{"message":');
  reply.chunk('{"content":"b"}}\n');
  await guard.activity(({ active: [first] }) => first?.tokens === 2);
  const last = '{"done":true,"prompt_eval_count":3,"eval_count":7}\n';
  reply.chunk(last);
  reply.end();
  assert.ok((await client.response()).text.endsWith(last));
  const { done } = await guard.activity((activity) => activity.done.length === 1 && activity.active.length === 0);
  assert.deepEqual(
    [done[0]?.outcome, done[0]?.status, done[0]?.tokens, done[0]?.model],
    ['complete', 200, 7, 'llama3.2:latest'],
  );
});

for (const connection of upstreamConnections) {
  test(`a request that is stopped ends for its client and for Ollama, and no other does (${connection})`, async (t) => {
    const upstream = await startFakeOllama(t, (reply) => {
      reply.stream();
      reply.chunk('{"message":{"content":"a"}}\n');
    });
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    guard.guard.watchActivity(true);
    const stopped = await RawClient.open(t, guard.port);
    stopped.send(chat);
    await stopped.has('content');
    const other = await RawClient.open(t, guard.port);
    other.send(chat);
    await other.has('content');
    const { active } = await guard.activity((activity) => activity.active.length === 2);
    const id = active[0]?.id ?? 0;

    assert.equal(guard.guard.stopRequest(id), true);
    await stopped.closed();
    await (await upstream.reply(before)).closed();
    const { done } = await guard.activity((activity) => activity.active.length === 1);
    assert.deepEqual([done[0]?.id, done[0]?.outcome], [id, 'stopped']);
    assert.equal(other.isClosed, false);
    assert.equal(guard.guard.stopRequest(id), false);
  });
}

test('a request is stopped before Ollama has answered, also one behind another on its connection', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream);
  guard.guard.watchActivity(true);
  const client = await RawClient.open(t, guard.port);
  client.send(chat);
  client.send(chat);
  const reply = await upstream.reply(0);
  await guard.activity((activity) => activity.active.length === 2);
  guard.guard.stopRequest(2);
  await client.closed();
  await reply.closed();
  assert.equal(upstream.requests.length, 1);
  const { done } = await guard.activity((activity) => activity.active.length === 0);
  assert.deepEqual(done.map(({ id, outcome }) => `${id} ${outcome}`).sort(), ['1 cut', '2 stopped']);
});

test('a request that waits for its turn is stopped where it waits, and Ollama never hears of it', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream, { config: { policy: { queue: { concurrency: 1 } } } });
  guard.guard.watchActivity(true);
  const running = await RawClient.open(t, guard.port);
  running.send(chat);
  const reply = await upstream.reply(0);
  const waits = await RawClient.open(t, guard.port);
  waits.send(chat);
  const { active } = await guard.activity((activity) => activity.active[1]?.waiting === 1);
  assert.deepEqual(
    active.map(({ id, model, waiting }) => [id, model, waiting]),
    [
      [1, 'llama3.2:latest', undefined],
      [2, 'llama3.2:latest', 1],
    ],
  );

  assert.equal(guard.guard.stopRequest(2), true);
  await waits.closed();
  const { done } = await guard.activity((activity) => activity.active.length === 1);
  assert.deepEqual([done[0]?.id, done[0]?.outcome, done[0]?.waiting], [2, 'stopped', undefined]);
  reply.json({ done: true });
  assert.equal((await running.response()).status, 200);
  // The turn was not lost with the one who waited for it.
  const next = await RawClient.open(t, guard.port);
  next.send(chat);
  (await upstream.reply(1)).json({ done: true });
  assert.equal((await next.response()).status, 200);
  assert.equal(upstream.requests.length, 2);
});

test('who is connected shows while the connection is open and its last request was signed in', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  guard.guard.watchActivity(true);
  const clients = [await RawClient.open(t, guard.port), await RawClient.open(t, guard.port)];
  for (const client of clients) {
    client.send({ headers });
    await client.response();
  }
  const { connected } = await guard.activity((activity) => activity.connected[0]?.connections === 2);
  assert.deepEqual(connected, [{ user: 'mia', address: '127.0.0.1', connections: 2 }]);

  clients[0]?.send({ headers: { authorization: 'Bearer nobody' } });
  assert.equal((await clients[0]?.response())?.status, 401);
  await guard.activity((activity) => activity.connected[0]?.connections === 1);
  clients[1]?.socket.destroy();
  await guard.activity((activity) => activity.connected.length === 0);
});

test('a connection whose sign-in was still being checked when it closed does not stay', async (t) => {
  const upstream = await startFakeOllama(t);
  const compare = Promise.withResolvers<boolean>();
  const guard = await startGuard(t, upstream, { comparePassword: () => compare.promise });
  guard.guard.watchActivity(true);
  const client = await RawClient.open(t, guard.port);
  client.send({ headers: { authorization: team.mia.basic } });
  await guard.call({ path: '/_guard/health' });
  client.socket.destroy();
  await guard.call({ path: '/_guard/health' });
  compare.resolve(true);
  await guard.call({ headers });
  await guard.activity(({ done, connected }) => done[0]?.outcome === 'complete' && connected.length === 0);
});

test('users and keys that signed in are reported, by id, whether anybody watches or not', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  await guard.call({ headers: { authorization: team.mia.bearer } });
  await guard.call({ headers: { authorization: team.adam.basic } });
  await guard.call({ headers: { authorization: 'Bearer nobody' } });
  await guard.guard.stop(0);
  const used = Object.assign({}, ...guard.reports.map((report) => report.used)) as Record<string, number>;
  assert.deepEqual(Object.keys(used).sort(), [idOf('mia'), team.mia.keyId, idOf('adam')].sort());
  assert.ok(Object.values(used).every((at) => Math.abs(Date.now() - at) < 60_000));
  assert.ok(guard.reports.every((report) => !('activity' in report)));
});

test('a large body passes whole, and its model is shown', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ length: reply.request.body.length }));
  const guard = await startGuard(t, upstream);
  guard.guard.watchActivity(true);
  const image = Buffer.alloc(2 * 1024 * 1024, 'QUJD').toString();
  const body = JSON.stringify({ messages: [{ images: [image] }], model: 'llava' });
  const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  for (const request of [
    { ...chat, body },
    { ...chat, body: chunked, lines: ['Transfer-Encoding: chunked'] },
  ]) {
    const { text } = await guard.call(request);
    assert.deepEqual(JSON.parse(text), { length: body.length });
    assert.equal(upstream.requests.at(-1)?.text, body);
  }
  const { done } = await guard.activity((activity) => activity.done.length === 2);
  assert.deepEqual(
    done.map(({ model }) => model),
    ['llava:latest', 'llava:latest'],
  );
});
