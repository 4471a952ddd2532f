// SEC-47: in LoLLMs Hub a 429 was thrown where every exception is caught and logged, so that no limiter ever rejected, and
// without its database there were no limits. Here each is exceeded once, and one that fails refuses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { MiB } from '../../src/guard/config.ts';
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

/**
 * Is it a refusal that says when to come again, and how much is left?
 *
 * @param windows what the caller's limits by time are, as `RateLimit-Policy` has them; undefined when it has none.
 */
function isHeld({ status, headers, text }: RawResponse, words: RegExp, seconds: number, windows?: string): void {
  assert.equal(status, 429);
  const { error } = JSON.parse(text);
  assert.match(error.message ?? error, words);
  const after = Number(headers['retry-after']);
  assert.ok(Number.isInteger(after) && after >= 1 && after <= seconds, `Retry-After: ${headers['retry-after']}`);
  const fields = Object.keys(headers).filter((name) => name.startsWith('ratelimit-'));
  assert.deepEqual(fields.sort(), windows === undefined ? [] : rateFields);
  assert.equal(headers['ratelimit-policy'], windows);
  for (const name of fields.filter((field) => field !== 'ratelimit-policy')) assert.match(headers[name] ?? '', /^\d+$/);
}

const rateFields = ['ratelimit-limit', 'ratelimit-policy', 'ratelimit-remaining', 'ratelimit-reset'];

/** By time: what is limited, how many requests of seven tokens fit, and what the next one is told. */
const byTime = [
  [
    'requests per minute',
    { requestsPerMinute: 3 },
    3,
    /as many requests as you may for now.*The limit is 3 requests a minute/,
    60,
    '3;w=60',
  ],
  ['tokens per minute', { tokensPerMinute: 20 }, 3, /The limit is 20 tokens a minute/, 60, '20;w=60'],
  ['tokens per day', { tokensPerDay: 20 }, 3, /The limit is 20 tokens a day/, 86_400, '20;w=86400'],
] as const;

for (const [what, limits, fit, words, seconds, windows] of byTime) {
  test(`SEC-47: ${what} of a user: rejects what is beyond, whichever the credential, and nobody else`, async (t) => {
    const upstream = await startFakeOllama(t, answer);
    const guard = await startGuard(t, upstream, { users, config: { policy: ofUser(limits) } });
    for (let number = 0; number < fit; number += 1) {
      const { status, headers } = await guard.call([mia, miasOtherKey, miasPassword][number % 3] ?? mia);
      assert.equal(status, 200);
      assert.equal(headers['ratelimit-limit'], String(Object.values(limits)[0]));
    }
    for (const request of [mia, miasOtherKey, miasPassword]) isHeld(await guard.call(request), words, seconds, windows);
    assert.equal((await guard.call(adam)).status, 200);
    assert.equal(upstream.requests.length, fit + 1);
  });

  test(`SEC-47: ${what} of a key: rejects that key alone`, async (t) => {
    const upstream = await startFakeOllama(t, answer);
    const guard = await startGuard(t, upstream, { users, config: { policy: ofKey(limits) } });
    for (let number = 0; number < fit; number += 1) assert.equal((await guard.call(mia)).status, 200);
    isHeld(await guard.call(mia), words, seconds, windows);
    assert.equal((await guard.call(miasOtherKey)).status, 200);
    assert.equal((await guard.call(miasPassword)).status, 200);
    isHeld(await guard.call(mia), words, seconds, windows);
  });

  test(`SEC-47: ${what}: the user's own limit takes the place of the role's, at once`, async (t) => {
    const upstream = await startFakeOllama(t, answer);
    const guard = await startGuard(t, upstream, { users, config: { policy: ofUser(limits) } });
    for (let number = 0; number < fit; number += 1) await guard.call(mia);
    isHeld(await guard.call(mia), words, seconds, windows);
    const doubled = Object.fromEntries(Object.entries(limits).map(([limit, value]) => [limit, 2 * value]));
    guard.guard.setUsers(changeUser(users, 'mia', { limits: doubled }));
    for (let number = 0; number < fit - 1; number += 1) assert.equal((await guard.call(mia)).status, 200);
    guard.guard.setUsers(users);
    isHeld(await guard.call(mia), words, seconds, windows);
  });
}

/** A caller that has limits by time, too, is told how much is left of those. */
const beside = [
  ['', {}, undefined],
  [', beside limits by time', { requestsPerMinute: 90, tokensPerDay: 1e6 }, '1000000;w=86400, 90;w=60'],
] as const;

for (const [whose, policyOf, free] of [
  ['a user', ofUser, adam],
  ['a key', ofKey, miasOtherKey],
] as const) {
  for (const [besides, more, windows] of beside) {
    test(`SEC-47: requests at once of ${whose}${besides}: rejects the third until one is over`, async (t) => {
      const upstream = await startFakeOllama(t, () => {});
      const policy = policyOf({ concurrentRequests: 2, ...more });
      const guard = await startGuard(t, upstream, { users, config: { policy } });
      const clients = [await RawClient.open(t, guard.port), await RawClient.open(t, guard.port)];
      for (const client of clients) client.send(mia);
      const reply = await upstream.reply(1);
      isHeld(await guard.call(mia), /under way/, 1, windows);
      const other = await RawClient.open(t, guard.port);
      other.send(free);
      await upstream.reply(2);
      answer(reply);
      await Promise.race(clients.map((client) => client.response()));
      const next = await RawClient.open(t, guard.port);
      next.send(mia);
      await upstream.reply(3);
      isHeld(await guard.call(mia), /under way/, 1, windows);
    });
  }

  test(`SEC-47: tokens of ${whose} that its requests under way may use: rejects until one is over`, async (t) => {
    const upstream = await startFakeOllama(t, () => {});
    const policy = policyOf({ tokensPerMinute: 1_000, requestsPerMinute: 90 });
    const guard = await startGuard(t, upstream, { users, config: { policy } });
    const chat = { model: 'x', messages: [{ role: 'user', content: 'hi' }], max_tokens: 950 };
    const next = { ...mia, path: '/v1/chat/completions', body: JSON.stringify(chat) };
    const code = ({ text }: RawResponse) => JSON.parse(text).error.code;
    const first = await RawClient.open(t, guard.port);
    first.send(next);
    const reply = await upstream.reply(0);
    // Nothing is used yet, so it is not that the caller has used what it may.
    const held = await guard.call(next);
    isHeld(held, /under way/, 1, '1000;w=60, 90;w=60');
    assert.equal(code(held), 'tokens-held');
    assert.equal(upstream.requests.length, 1);
    const other = await RawClient.open(t, guard.port);
    other.send(free);
    answer(await upstream.reply(1));
    assert.equal((await other.response()).status, 200);

    const used = (tokens: number) => ({ choices: [], usage: { prompt_tokens: 1, completion_tokens: tokens - 1 } });
    reply.json(used(7));
    assert.equal((await first.response()).status, 200);
    upstream.answer = (later) => later.json(used(993));
    assert.equal((await guard.call(next)).status, 200);
    const spent = await guard.call(next);
    isHeld(spent, /tokens that you may use/, 60, '1000;w=60, 90;w=60');
    assert.equal(code(spent), 'too-many-tokens');
    assert.equal(spent.headers['ratelimit-remaining'], '0');
  });
}

for (const [besides, more, windows] of beside) {
  test(`SEC-47: the length of the queue${besides}: rejects what finds no place`, async (t) => {
    const upstream = await startFakeOllama(t, () => {});
    const policy = { queue: { concurrency: 1, length: 2 }, ...ofUser(more) };
    const guard = await startGuard(t, upstream, { users, config: { policy } });
    guard.guard.watchActivity(true);
    for (const waiting of [0, 1]) {
      (await RawClient.open(t, guard.port)).send(mia);
      await guard.activity(
        ({ active }) => active.filter((request) => request.waiting !== undefined).length === waiting,
      );
      await upstream.reply(0);
    }
    isHeld(await guard.call(mia), /waiting/, 60, windows);
    assert.equal(upstream.requests.length, 1);
  });

  test(`SEC-47: bodies in memory at once${besides}: rejects what does not fit`, async (t) => {
    const upstream = await startFakeOllama(t, () => {});
    const policy = { queue: { concurrency: 5 }, ...ofUser(more) };
    const guard = await startGuard(t, upstream, { users, config: { policy, maxBodyBytes: MiB } });
    // Four of the largest bodies of one user may be in memory, and what is reserved: while their requests are under way.
    const large = { ...mia, body: JSON.stringify({ model: 'x', images: ['A'.repeat(MiB - 50)], stream: false }) };
    for (let number = 0; number < 5; number += 1) {
      (await RawClient.open(t, guard.port)).send(large);
      await upstream.reply(number);
    }
    isHeld(await guard.call(large), /as many requests as it can hold/, 60, windows);
    assert.equal(upstream.requests.length, 5);
  });
}

test('SEC-47: requests at once on one connection: rejects the ninth', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream, { users });
  const client = await RawClient.open(t, guard.port);
  for (let number = 0; number < 9; number += 1) client.send(mia);
  upstream.answer = answer;
  answer(await upstream.reply(0));
  for (let number = 0; number < 8; number += 1) assert.equal((await client.response()).status, 200);
  isHeld(await client.response(), /on one connection/, 60);
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
