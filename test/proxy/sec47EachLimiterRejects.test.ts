// SEC-47: in LoLLMs Hub a 429 was thrown where every exception is caught and logged, so that no limiter ever rejected, and
// without its database there were no limits. Here each is exceeded once, and one that fails refuses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { addApiKey, changeUser } from '../../src/guard/identity/users.ts';
import type { Limits, PolicyDocument } from '../../src/guard/policy/policyDocument.ts';
import { ask } from '../support/asks.ts';
import { type Answer, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient, type RawResponse } from '../support/rawClient.ts';

/** Ollama's answer to a request that took seven tokens. */
const answer: Answer = (reply) => reply.json({ response: 'x', done: true, prompt_eval_count: 3, eval_count: 4 });

const { users, text: otherKey } = addApiKey(team.users, 'mia', 'another');
const body = { model: 'x', prompt: 'hi', stream: false, options: { num_predict: 4 } };
const withKey = (bearer: string) => ({ ...ask(team.mia, '/api/generate', body), headers: { authorization: bearer } });
const mia = withKey(team.mia.bearer);
const miasOtherKey = withKey(`Bearer ${otherKey}`);
const miasPassword = withKey(team.mia.basic);
const adam = withKey(team.adam.bearer);

const ofUser = (limits: Limits): PolicyDocument => ({ roles: { member: { limits } } });
const ofKey = (limitsPerKey: Limits): PolicyDocument => ({ roles: { member: { limitsPerKey } } });

function isHeld({ status, headers, text }: RawResponse, words: RegExp, seconds: number): void {
  assert.equal(status, 429);
  assert.match(JSON.parse(text).error, words);
  const after = Number(headers['retry-after']);
  assert.ok(Number.isInteger(after) && after >= 1 && after <= seconds, `${after}`);
}

/** By time: what is limited, how many requests of seven tokens fit, and what the next one is told. */
const byTime = [
  ['requests per minute', { requestsPerMinute: 3 }, 3, /as many requests as you may for now/, 60],
  ['tokens per minute', { tokensPerMinute: 20 }, 3, /tokens/, 60],
  ['tokens per day', { tokensPerDay: 20 }, 3, /tokens/, 86_400],
] as const;

for (const [what, limits, fit, words, seconds] of byTime) {
  test(`SEC-47: ${what} of a user: rejects what is beyond, whichever the credential, and nobody else`, async (t) => {
    const upstream = await startFakeOllama(t, answer);
    const guard = await startGuard(t, upstream, { users, config: { policy: ofUser(limits) } });
    for (let number = 0; number < fit; number += 1) {
      const { status, headers } = await guard.call([mia, miasOtherKey, miasPassword][number % 3] ?? mia);
      assert.equal(status, 200);
      assert.equal(headers['ratelimit-limit'], String(Object.values(limits)[0]));
    }
    for (const request of [mia, miasOtherKey, miasPassword]) isHeld(await guard.call(request), words, seconds);
    assert.equal((await guard.call(adam)).status, 200);
    assert.equal(upstream.requests.length, fit + 1);
  });

  test(`SEC-47: ${what} of a key: rejects that key alone`, async (t) => {
    const upstream = await startFakeOllama(t, answer);
    const guard = await startGuard(t, upstream, { users, config: { policy: ofKey(limits) } });
    for (let number = 0; number < fit; number += 1) assert.equal((await guard.call(mia)).status, 200);
    isHeld(await guard.call(mia), words, seconds);
    assert.equal((await guard.call(miasOtherKey)).status, 200);
    assert.equal((await guard.call(miasPassword)).status, 200);
    isHeld(await guard.call(mia), words, seconds);
  });

  test(`SEC-47: ${what}: the user's own limit takes the place of the role's, at once`, async (t) => {
    const upstream = await startFakeOllama(t, answer);
    const guard = await startGuard(t, upstream, { users, config: { policy: ofUser(limits) } });
    for (let number = 0; number < fit; number += 1) await guard.call(mia);
    isHeld(await guard.call(mia), words, seconds);
    const doubled = Object.fromEntries(Object.entries(limits).map(([limit, value]) => [limit, 2 * value]));
    guard.guard.setUsers(changeUser(users, 'mia', { limits: doubled }));
    for (let number = 0; number < fit - 1; number += 1) assert.equal((await guard.call(mia)).status, 200);
    guard.guard.setUsers(users);
    isHeld(await guard.call(mia), words, seconds);
  });
}

for (const [whose, policy, free] of [
  ['a user', ofUser({ concurrentRequests: 2 }), adam],
  ['a key', ofKey({ concurrentRequests: 2 }), miasOtherKey],
] as const) {
  test(`SEC-47: requests at once of ${whose}: rejects the third until one is over`, async (t) => {
    const upstream = await startFakeOllama(t, () => {});
    const guard = await startGuard(t, upstream, { users, config: { policy } });
    const clients = [await RawClient.open(t, guard.port), await RawClient.open(t, guard.port)];
    for (const client of clients) client.send(mia);
    const reply = await upstream.reply(1);
    isHeld(await guard.call(mia), /under way/, 1);
    const other = await RawClient.open(t, guard.port);
    other.send(free);
    await upstream.reply(2);
    answer(reply);
    await Promise.race(clients.map((client) => client.response()));
    const next = await RawClient.open(t, guard.port);
    next.send(mia);
    await upstream.reply(3);
    isHeld(await guard.call(mia), /under way/, 1);
  });
}

test('SEC-47: the length of the queue: rejects what finds no place', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const policy = { queue: { concurrency: 1, length: 2 } };
  const guard = await startGuard(t, upstream, { users, config: { policy } });
  guard.guard.watchActivity(true);
  for (const waiting of [0, 1]) {
    (await RawClient.open(t, guard.port)).send(mia);
    await guard.activity(({ active }) => active.filter((request) => request.waiting !== undefined).length === waiting);
    await upstream.reply(0);
  }
  isHeld(await guard.call(mia), /waiting/, 60);
  assert.equal(upstream.requests.length, 1);
});

test('SEC-47: the age in the queue: rejects what has waited for too long', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const policy = { queue: { concurrency: 1, maxWait: '1s' } };
  const guard = await startGuard(t, upstream, { users, config: { policy } });
  (await RawClient.open(t, guard.port)).send(mia);
  await upstream.reply(0);
  const { status, text } = await guard.call(mia);
  assert.deepEqual([status, /waited/.test(JSON.parse(text).error)], [503, true]);
  assert.equal(upstream.requests.length, 1);
});

test('SEC-47: a limiter that fails does not let through', async (t) => {
  const upstream = await startFakeOllama(t, answer);
  t.mock.method(RateLimiterMemory.prototype, 'get', () => Promise.reject(new Error('out of order')));
  for (const [, limits] of byTime) {
    const guard = await startGuard(t, upstream, { users, config: { policy: ofUser(limits) } });
    assert.equal((await guard.call(mia)).status, 500);
    assert.equal((await guard.call(adam)).status, 200);
  }
  assert.equal(upstream.requests.length, byTime.length);
});

test('SEC-47: a limiter that fails gives back what it took', async (t) => {
  const upstream = await startFakeOllama(t, answer);
  const policy = ofUser({ requestsPerMinute: 100, tokensPerMinute: 1_000, concurrentRequests: 1 });
  const guard = await startGuard(t, upstream, { users, config: { policy } });
  const get = t.mock.method(RateLimiterMemory.prototype, 'get', () => Promise.reject(new Error('out of order')));
  for (let number = 0; number < 3; number += 1) assert.equal((await guard.call(mia)).status, 500);
  assert.equal(upstream.connections, 0);
  get.mock.restore();
  assert.equal((await guard.call(mia)).status, 200);

  // It fails when tokens are set aside, after the request was let in.
  let calls = 0;
  t.mock.method(RateLimiterMemory.prototype, 'get', async () => {
    calls += 1;
    if (calls % 3 === 0) throw new Error('out of order');
    return null;
  });
  assert.equal((await guard.call(mia)).status, 500);
  assert.equal(upstream.requests.length, 1);
});
