/** The queue as clients, users and the owner meet it: who waits, who leaves, and what a policy changes meanwhile. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { changeUser } from '../../src/guard/identity/users.ts';
import type { PolicyDocument } from '../../src/guard/policy/policyDocument.ts';
import { ask, get } from '../support/asks.ts';
import { type Answer, type FakeOllama, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { type Person, team, withPerson } from '../support/people.ts';
import { queueAt, untilQueue } from '../support/queue.ts';
import { RawClient } from '../support/rawClient.ts';

const { users, person: noa } = withPerson(team.users, 'noa', 'member');
const one: PolicyDocument = { queue: { concurrency: 1 } };
const chat = (person: Person, content = 'hi') =>
  ask(person, '/api/chat', { model: 'x', messages: [{ role: 'user', content }] });

interface Scene {
  readonly upstream: FakeOllama;
  readonly guard: TestGuard;
  /** Sends a request, and waits until it runs or waits. */
  enter(person: Person, content?: string): Promise<RawClient>;
}

async function scene(t: TestContext, policy = one, answer: Answer = () => {}): Promise<Scene> {
  const upstream = await startFakeOllama(t, answer);
  const guard = await startGuard(t, upstream, { users, config: { policy } });
  const enter = async (person: Person, content?: string) => {
    const { running, waiting } = await queueAt(guard);
    const client = await RawClient.open(t, guard.port);
    client.send(chat(person, content));
    await untilQueue(guard, (view) => view.running + view.waiting > running + waiting);
    return client;
  };
  return { upstream, guard, enter };
}

const last = '{"done":true,"prompt_eval_count":1,"eval_count":1}\n';
const contents = ({ requests }: FakeOllama) => requests.map(({ text }) => JSON.parse(text).messages[0].content);

test('a client that leaves while it waits frees its place, and Ollama never hears of it', async (t) => {
  const { upstream, guard, enter } = await scene(t);
  await enter(team.mia, 'first');
  const leaving = await enter(team.mia, 'leaving');
  await enter(noa, 'last');
  leaving.socket.destroy();
  await untilQueue(guard, ({ waiting }) => waiting === 1);
  (await upstream.reply(0)).text(last);
  await upstream.reply(1);
  assert.deepEqual(contents(upstream), ['first', 'last']);
});

test('a client that leaves while it runs makes room for who waits', async (t) => {
  const { upstream, guard, enter } = await scene(t);
  const leaving = await enter(team.mia, 'leaving');
  await enter(noa, 'waiting');
  leaving.socket.destroy();
  await upstream.reply(1);
  assert.deepEqual(await untilQueue(guard, ({ waiting }) => waiting === 0).then(({ running }) => running), 1);
  assert.deepEqual(contents(upstream), ['leaving', 'waiting']);
});

test('a user who is switched off while it waits is ended, and frees its place', async (t) => {
  const { upstream, guard, enter } = await scene(t);
  await enter(noa, 'first');
  const barred = await enter(team.mia, 'barred');
  await enter(noa, 'last');
  guard.guard.setUsers(changeUser(users, 'mia', { disabled: true }));
  await barred.closed();
  assert.equal(barred.pending, '');
  await untilQueue(guard, ({ waiting }) => waiting === 1);
  (await upstream.reply(0)).text(last);
  await upstream.reply(1);
  assert.deepEqual(contents(upstream), ['first', 'last']);
});

test('a stream that waits says nothing until its turn, and then is like any other', async (t) => {
  const { upstream, enter } = await scene(t);
  await enter(noa);
  const waiting = await enter(team.mia);
  assert.equal(waiting.pending, '');
  (await upstream.reply(0)).text(last);
  const reply = await upstream.reply(1);
  assert.equal(waiting.pending, '');
  reply.stream('application/x-ndjson', ['X-Custom: 1']);
  reply.chunk('{"message":{"content":"a"}}\n');
  await waiting.has('"a"');
  assert.match(waiting.pending, /^HTTP\/1\.1 200 OK\r\n/);
  reply.chunk(last);
  reply.end();
  const { headers, text, complete } = await waiting.response();
  assert.deepEqual([text, complete], [`{"message":{"content":"a"}}\n${last}`, true]);
  assert.equal(headers['content-type'], 'application/x-ndjson');
  assert.equal(headers['transfer-encoding'], 'chunked');
});

test('a user sees its own requests in the queue, who manages Ollama sees all, and a stranger none', async (t) => {
  const { guard, enter } = await scene(t);
  await enter(noa);
  await enter(noa);
  await enter(team.mia);
  const numbers = { concurrency: 1, running: 1, waiting: 2 };
  const seenBy = async (person: Person) => {
    const { requests, ...rest } = await queueAt(guard, person);
    assert.deepEqual(rest, numbers);
    for (const { waitedSeconds } of requests) assert.ok(waitedSeconds >= 0 && waitedSeconds < 60);
    return requests.map(({ user, position }) => `${position} ${user}`);
  };
  // Noa has had a turn, so mia's is next.
  assert.deepEqual(await seenBy(team.mia), ['1 mia']);
  assert.deepEqual(await seenBy(noa), ['2 noa']);
  assert.deepEqual(await seenBy(team.vera), []);
  assert.deepEqual(await seenBy(team.adam), ['1 mia', '2 noa']);

  for (const headers of [{}, { authorization: 'Bearer wrong' }]) {
    const { status, text } = await guard.call({ path: '/_guard/queue', headers });
    assert.deepEqual([status, /mia|noa|running/.test(text)], [401, false]);
  }
  assert.equal((await guard.call(get(team.mia, '/_guard/queue', 'HEAD'))).status, 200);
  const { status, headers } = await guard.call(ask(team.adam, '/_guard/queue', {}));
  assert.deepEqual([status, headers.allow], [405, 'GET, HEAD']);
  assert.equal((await guard.call(ask(team.adam, '/_guard/queue', {}, 'GET'))).status, 400);
});

test('a user who waits behind hundreds of others sees its own place', async (t) => {
  const policy = { queue: { concurrency: 1, length: 2_000 }, roles: { admin: { priority: 5 } } };
  const { guard, enter } = await scene(t, policy);
  await enter(team.adam);
  const others = 501;
  const client = await RawClient.open(t, guard.port);
  client.send(chat(team.mia));
  await untilQueue(guard, ({ waiting }) => waiting === 1);
  for (let number = 0; number < others; number += 1) (await RawClient.open(t, guard.port)).send(chat(team.adam));
  await untilQueue(guard, ({ waiting }) => waiting === others + 1);
  const { waiting, requests } = await queueAt(guard, team.mia);
  assert.deepEqual([waiting, requests.map(({ position }) => position)], [others + 1, [others + 1]]);
});

test('the activity says where a request waits, and no more when its turn has come', async (t) => {
  const { upstream, guard, enter } = await scene(t);
  guard.guard.watchActivity(true);
  for (const person of [noa, noa, team.mia]) await enter(person);
  const places = ({ active }: { readonly active: readonly { readonly user: string; readonly waiting?: number }[] }) =>
    active.map(({ user, waiting }) => `${user} ${waiting ?? '-'}`).join();
  await guard.activity((activity) => places(activity) === 'noa -,noa 2,mia 1');
  (await upstream.reply(0)).text(last);
  await guard.activity((activity) => places(activity) === 'noa 1,mia -');
  (await upstream.reply(1)).text(last);
  await guard.activity((activity) => places(activity) === 'noa -');
});

test('a queue that is full, and one that took too long, say so in every dialect', async (t) => {
  const { upstream, guard, enter } = await scene(t, { queue: { concurrency: 1, length: 1, maxWait: '1s' } });
  await enter(noa);
  const waiting = await enter(team.mia);
  const dialects = ['/api/chat', '/v1/chat/completions', '/v1/messages'];
  for (const path of dialects) {
    const { status, headers, text } = await guard.call(ask(noa, path, { model: 'x', max_tokens: 3, messages: [] }));
    assert.equal(status, 429);
    assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/);
    const { error } = JSON.parse(text);
    assert.match(error.message ?? error, /^Too many requests are waiting for this endpoint\./);
  }
  const { status, text } = await waiting.response();
  assert.deepEqual([status, JSON.parse(text).error], [503, 'The request waited for its turn for too long. Try again.']);
  for (const path of dialects.slice(1)) {
    const late = await guard.call(ask(noa, path, { model: 'x', max_tokens: 3, messages: [] }));
    assert.equal(late.status, 503);
    const { error } = JSON.parse(late.text);
    assert.match(error.message, /^The request waited/);
    assert.equal(error.type, path === '/v1/messages' ? 'overloaded_error' : 'api_error');
  }
  assert.deepEqual([(await queueAt(guard)).waiting, upstream.requests.length], [0, 1]);
});

test('when Ollama is given more at once, who waits starts; when fewer, who runs goes on', async (t) => {
  const { upstream, guard, enter } = await scene(t);
  const clients = [];
  for (const person of [noa, noa, team.mia, team.mia]) clients.push(await enter(person));
  assert.equal(upstream.requests.length, 1);
  guard.guard.setPolicy({ queue: { concurrency: 3 } });
  await upstream.reply(2);
  const { concurrency, running, waiting } = await queueAt(guard);
  assert.deepEqual([concurrency, running, waiting], [3, 3, 1]);

  guard.guard.setPolicy(one);
  for (const number of [0, 1]) (await upstream.reply(number)).text(last);
  // Two are over, one runs: the last one waits on.
  assert.equal((await untilQueue(guard, (view) => view.running === 1)).waiting, 1);
  (await upstream.reply(2)).text(last);
  (await upstream.reply(3)).text(last);
  for (const client of clients) assert.equal((await client.response()).status, 200);
});

test('a policy that is new holds for the next request, and a stream under its predecessor goes on', async (t) => {
  const { upstream, guard, enter } = await scene(t, {});
  const stream = await enter(team.mia);
  const reply = await upstream.reply(0);
  reply.stream();
  reply.chunk('{"message":{"content":"a"}}\n');
  await stream.has('"a"');
  const statuses = async () => {
    const { status: chatting } = await guard.call(chat(team.mia));
    const { status: showing } = await guard.call(ask(team.mia, '/api/show', { model: 'x' }));
    return [chatting, showing];
  };
  upstream.answer = (next) => next.text(last);
  assert.deepEqual(await statuses(), [200, 200]);
  guard.guard.setPolicy({ roles: { member: { models: { deny: ['x'] } } } });
  assert.deepEqual(await statuses(), [403, 403]);
  guard.guard.setPolicy({ roles: { member: { can: ['read'] } } });
  assert.deepEqual(await statuses(), [403, 200]);
  guard.guard.setPolicy({ roles: { member: { limits: { requestsPerMinute: 1 } } } });
  assert.deepEqual(
    [await statuses(), await statuses()],
    [
      [200, 200],
      [429, 200],
    ],
  );
  guard.guard.setPolicy({ roles: { member: { limits: { concurrentRequests: 1 } } } });
  assert.deepEqual(await statuses(), [429, 200]);
  reply.chunk(last);
  reply.end();
  assert.equal((await stream.response()).complete, true);
});
