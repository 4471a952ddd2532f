/** Clients that leave, at whatever step of a request's way, leave nothing behind that others would have to do without. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { ask, get } from '../support/asks.ts';
import { type Answer, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { type Person, team, withPerson } from '../support/people.ts';
import { untilQueue } from '../support/queue.ts';
import { RawClient, requestBytes } from '../support/rawClient.ts';

const { users, person: noa } = withPerson(team.users, 'noa', 'member');

const maxBodyBytes = 64 * 1024;
/** Of one user there is room for four of the largest bodies, or eight of these. */
const text = 'x'.repeat(31 * 1024);
const paths = ['/api/generate', '/api/chat', '/v1/chat/completions', '/v1/messages', '/api/embed'];
const chat = (person: Person, path = '/api/chat') =>
  ask(person, path, { model: 'x', max_tokens: 9, messages: [{ role: 'user', content: text }] });

/** By number, evenly spread and the same in every run. */
const spread = (number: number, below: number): number => (number * 2_654_435_761) % below;

/** Sends a request, or two on one connection, and leaves after so many turns of the event loop, mid-body or later. */
async function sendAndLeave(t: TestContext, guard: TestGuard, person: Person, number: number): Promise<void> {
  const client = await RawClient.open(t, guard.port);
  const bytes = requestBytes(client.host, chat(person, paths[number % paths.length]));
  const all = number % 5 === 0 ? Buffer.concat([bytes, bytes]) : bytes;
  const cut = number % 3 === 0 ? spread(number, all.length) : all.length;
  const middle = spread(number + 1, cut);
  client.send(all.subarray(0, middle));
  await tick();
  client.send(all.subarray(middle, cut));
  for (let turns = spread(number, 30); turns > 0; turns -= 1) await tick();
  if (number % 2 === 0) client.socket.destroy();
  else client.socket.resetAndDestroy();
  await client.closed();
}

/** Two hundred of them, eight at a time. */
async function storm(t: TestContext, guard: TestGuard, person: Person): Promise<void> {
  let next = 0;
  const leave = async () => {
    while (next < 200) {
      next += 1;
      await sendAndLeave(t, guard, person, next);
    }
  };
  await Promise.all(Array.from({ length: 8 }, leave));
}

/** What Ollama may do with a request: nothing, begin, answer, or go away. */
const answers: readonly Answer[] = [
  () => {},
  (reply) => {
    reply.stream();
    reply.chunk('{"message":{"content":"a"}}\n');
  },
  (reply) => reply.json({ done: true, prompt_eval_count: 1, eval_count: 1 }),
  (reply) => reply.die(),
];

test('after two hundred requests that were given up, all places, bodies and requests at once are free', async (t) => {
  let number = 0;
  const upstream = await startFakeOllama(t, (reply) => {
    number += 1;
    answers[number % answers.length]?.(reply);
  });
  const limits = { concurrentRequests: 8, requestsPerMinute: 100_000, tokensPerMinute: 1_000_000_000 };
  const policy = { queue: { concurrency: 2 }, roles: { member: { limits, limitsPerKey: limits } } };
  const guard = await startGuard(t, upstream, { users, config: { policy, maxBodyBytes } });
  guard.guard.watchActivity(true);
  await storm(t, guard, team.mia);
  const reached = upstream.requests.length;
  assert.ok(reached > 20, `${reached} got as far as Ollama`);
  await untilQueue(guard, ({ running, waiting }) => running === 0 && waiting === 0);
  await guard.activity(({ active }) => active.length === 0);
  assert.deepEqual(
    guard.events.filter(({ type }) => type === 'error'),
    [],
  );

  upstream.answer = () => {};
  const clients = await Promise.all(Array.from({ length: 8 }, () => RawClient.open(t, guard.port)));
  for (const client of clients) client.send(chat(team.mia));
  await untilQueue(guard, ({ running, waiting }) => running === 2 && waiting === 6);
  assert.deepEqual(
    clients.map(({ pending }) => pending),
    Array(8).fill(''),
  );
  const { status, text: words } = await guard.call(chat(team.mia));
  assert.deepEqual([status, /under way/.test(words)], [429, true]);
  for (const client of clients) client.socket.destroy();
  await untilQueue(guard, ({ running, waiting }) => running === 0 && waiting === 0);
});

test('requests that were given up before their turn took no tokens, and hold none', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const policy = { queue: { concurrency: 1 }, roles: { member: { limits: { tokensPerMinute: 10_000_000 } } } };
  const guard = await startGuard(t, upstream, { users, config: { policy, maxBodyBytes } });
  const first = await RawClient.open(t, guard.port);
  first.send(chat(noa));
  const reply = await upstream.reply(0);
  await storm(t, guard, team.mia);
  await untilQueue(guard, ({ waiting }) => waiting === 0);
  assert.equal(upstream.requests.length, 1);
  upstream.answer = (next) => next.json({ done: true, prompt_eval_count: 1, eval_count: 1 });
  reply.json({ done: true, prompt_eval_count: 1, eval_count: 1 });
  const left = async (response: Promise<{ readonly headers: Readonly<Record<string, string>> }>) =>
    (await response).headers['ratelimit-remaining'];
  assert.equal(await left(guard.call(chat(team.mia))), await left(first.response()));
});

test('a client that leaves while its limits are read holds nothing', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const limits = { concurrentRequests: 1, tokensPerMinute: 1_000_000 };
  const policy = { queue: { concurrency: 1 }, roles: { member: { limits } } };
  const guard = await startGuard(t, upstream, { users, config: { policy, maxBodyBytes } });
  // Read when a request begins, and when tokens are set aside for it.
  for (const step of [1, 2]) {
    const reading = Promise.withResolvers<void>();
    const read = Promise.withResolvers<void>();
    let reads = 0;
    const get = t.mock.method(RateLimiterMemory.prototype, 'get', async () => {
      reads += 1;
      if (reads === step) {
        reading.resolve();
        await read.promise;
      }
      return null;
    });
    const leaving = await RawClient.open(t, guard.port);
    leaving.send(chat(team.mia));
    await reading.promise;
    leaving.socket.destroy();
    await guard.call({ path: '/_guard/health' });
    read.resolve();
    await untilQueue(guard, ({ running, waiting }) => running === 0 && waiting === 0);
    get.mock.restore();
    const next = await RawClient.open(t, guard.port);
    next.send(chat(team.mia));
    const reply = await upstream.reply(step - 1);
    reply.json({ done: true, prompt_eval_count: 1, eval_count: 1 });
    assert.equal((await next.response()).status, 200);
  }
  assert.equal(upstream.requests.length, 2);
});

for (const path of ['/v1/models', '/v1/models/x', '/api/tags']) {
  const name = `a client that leaves while Ollama is asked for its models is not under way for ever (${path})`;
  test(name, async (t) => {
    const upstream = await startFakeOllama(t);
    const asked = Promise.withResolvers<void>();
    const listed = Promise.withResolvers<readonly []>();
    const listModels = () => {
      asked.resolve();
      return listed.promise;
    };
    const guard = await startGuard(t, upstream, { users, listModels });
    guard.guard.watchActivity(true);
    const leaving = await RawClient.open(t, guard.port);
    leaving.send(get(team.mia, path));
    await asked.promise;
    leaving.socket.destroy();
    await guard.call({ path: '/_guard/health' });
    listed.resolve([]);
    await guard.call(get(noa, path));
    const { active } = await guard.activity(({ done }) => done.some(({ user }) => user === 'noa'));
    assert.deepEqual(active, []);
    assert.equal(upstream.requests.length, 1);
  });
}
