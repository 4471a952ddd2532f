import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { Limiter, type Slot } from '../../../src/guard/admission/limiter.ts';
import type { Caller, Held } from '../../../src/guard/admission/types.ts';
import type { Limits } from '../../../src/guard/policy/policyDocument.ts';

const second = 1_000;
const minute = 60 * second;
const day = 24 * 60 * minute;

function caller(limits: Limits, more: Partial<Caller> = {}): Caller {
  return { id: 'mia', name: 'mia', limits, limitsPerKey: {}, priority: 0, weight: 1, ...more };
}

/** A limiter in time that stands still. */
function create(t: TestContext) {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: Date.parse('2026-01-01T00:00:00Z') });
  const limiter = new Limiter();
  const begin = async (limits: Limits, more: Partial<Caller> = {}): Promise<Slot> => {
    const outcome = await limiter.begin(caller(limits, more));
    assert.ok('slot' in outcome, 'held');
    return outcome.slot;
  };
  const held = async (limits: Limits, more: Partial<Caller> = {}): Promise<Held> => {
    const outcome = await limiter.begin(caller(limits, more));
    assert.ok('held' in outcome, 'not held');
    return outcome.held;
  };
  /** Uses tokens and is over. */
  const use = async (tokens: number, limits: Limits, more: Partial<Caller> = {}) => {
    const slot = await begin(limits, more);
    slot.end(tokens);
  };
  return { limiter, begin, held, use, tick: (ms: number) => t.mock.timers.tick(ms) };
}

const tokens = (prompt: number, output = 0) => prompt + output;

test('a caller without limits is answered at once', () => {
  const outcome = new Limiter().begin(caller({}, { keyId: 'k1' }));
  assert.ok('slot' in outcome);
  assert.equal(outcome.slot.reserve(tokens(1_000_000)), undefined);
  assert.deepEqual(outcome.slot.headers(), {});
  outcome.slot.end(1_000_000);
});

test('requests at once: one more than may is refused until one ends (SEC-47)', async (t) => {
  const { begin, held } = create(t);
  const limits = { concurrentRequests: 2 };
  const first = await begin(limits);
  await begin(limits);
  assert.deepEqual(await held(limits), {
    refusal: 'too-many-at-once',
    limit: '2 requests at once',
    retryAfter: 1,
    headers: {},
  });
  first.end(0);
  first.end(0);
  await begin(limits);
  assert.equal((await held(limits)).refusal, 'too-many-at-once');
});

test('requests per minute: one more than may is refused until the minute is over (SEC-47)', async (t) => {
  const { begin, held, tick } = create(t);
  const limits = { requestsPerMinute: 3 };
  for (const remaining of ['2', '1', '0']) {
    const slot = await begin(limits);
    assert.equal(slot.headers()['RateLimit-Remaining'], remaining);
    slot.end(0);
    tick(10 * second);
  }
  assert.deepEqual(await held(limits), {
    refusal: 'too-many-requests',
    limit: '3 requests a minute',
    retryAfter: 30,
    headers: {
      'RateLimit-Limit': '3',
      'RateLimit-Remaining': '0',
      'RateLimit-Reset': '30',
      'RateLimit-Policy': '3;w=60',
    },
  });
  tick(30 * second);
  await begin(limits);
});

test('a refused request counts for nothing', async (t) => {
  const { begin, held } = create(t);
  const slot = await begin({ requestsPerMinute: 1 });
  for (let i = 0; i < 5; i++) await held({ requestsPerMinute: 1 });
  slot.end(0);
  for (let i = 0; i < 2; i++) await begin({ requestsPerMinute: 3, concurrentRequests: 2 });
  assert.equal((await held({ requestsPerMinute: 3, concurrentRequests: 2 })).refusal, 'too-many-at-once');
  assert.equal((await held({ requestsPerMinute: 3 })).refusal, 'too-many-requests');
});

for (const [limit, ms] of [
  ['tokensPerMinute', minute],
  ['tokensPerDay', day],
] as const) {
  test(`${limit}: once they are used up a request is refused until the window is over (SEC-47)`, async (t) => {
    const { held, use, begin, tick } = create(t);
    const limits = { [limit]: 1_000 };
    await use(999, limits);
    await use(1, limits);
    tick(1 * second);
    const { refusal, retryAfter, headers } = await held(limits);
    assert.equal(refusal, 'too-many-tokens');
    assert.equal(retryAfter, ms / second - 1);
    assert.equal(headers['RateLimit-Policy'], `1000;w=${ms / second}`);
    tick(ms - second - 1);
    await held(limits);
    tick(1);
    await begin(limits);
  });

  test(`${limit}: tokens are set aside for requests under way, and given back`, async (t) => {
    const { begin } = create(t);
    const limits = { [limit]: 1_000 };
    const [first, second, third] = [await begin(limits), await begin(limits), await begin(limits)];
    assert.equal(await first.reserve(tokens(100, 500)), undefined);
    const refused = await second.reserve(tokens(100, 301));
    assert.equal(refused?.refusal, 'tokens-held');
    assert.equal(refused?.retryAfter, 1);
    assert.equal(await third.reserve(tokens(100, 300)), undefined);
    first.end(10);
    assert.equal(await second.reserve(tokens(100, 301)), undefined);
    second.end(401);
    third.end(0);
    const last = await begin(limits);
    assert.equal(await last.reserve(tokens(589)), undefined);
    const beside = await begin(limits);
    assert.equal((await beside.reserve(tokens(1)))?.refusal, 'tokens-held');
  });
}

test('a window is over when its time is, even if the timer of its record is late', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000 });
  const limiter = new Limiter();
  const limits = { tokensPerMinute: 10 };
  const outcome = await limiter.begin(caller(limits));
  if ('slot' in outcome) outcome.slot.end(10);
  assert.ok('held' in (await limiter.begin(caller(limits))));
  t.mock.timers.setTime(1_000 + minute);
  assert.ok('slot' in (await limiter.begin(caller(limits))));
});

test('a request that is alone gets what it takes as long as anything is left', async (t) => {
  const { begin, use } = create(t);
  const limits = { tokensPerDay: 1_000 };
  await use(999, limits);
  const slot = await begin(limits);
  assert.equal(await slot.reserve(tokens(5_000, 5_000)), undefined);
  slot.end(10_000);
});

test('of requests that reserve at the same moment, more than is left, one is let through', async (t) => {
  const { begin } = create(t);
  const limits = { tokensPerDay: 1_000 };
  const slots = [await begin(limits), await begin(limits), await begin(limits)];
  const outcomes = await Promise.all(slots.map((slot) => slot.reserve(tokens(5_000))));
  assert.equal(outcomes.filter((outcome) => outcome === undefined).length, 1);
});

test('a request that waited while others used up the tokens is not sent', async (t) => {
  const { begin, use } = create(t);
  const limits = { tokensPerMinute: 1_000 };
  const slot = await begin(limits);
  await use(1_000, limits);
  const refused = await slot.reserve(tokens(1));
  assert.equal(refused?.refusal, 'too-many-tokens');
  assert.equal(refused?.retryAfter, 60);
});

test('a request that is told to come again counts for nothing, and every other one when it is over', async (t) => {
  const { begin, held } = create(t);
  const limits = { requestsPerMinute: 3, tokensPerMinute: 1_000 };
  const first = await begin(limits);
  assert.equal(await first.reserve(tokens(1_000)), undefined);
  for (let i = 0; i < 5; i++) {
    const slot = await begin(limits);
    assert.equal((await slot.reserve(tokens(1)))?.refusal, 'tokens-held');
    slot.end(0);
  }
  // Refused for its body, or its client left before it was read.
  for (let i = 0; i < 2; i++) (await begin(limits)).end(0);
  assert.equal((await held(limits)).refusal, 'too-many-requests');
  first.count();
  first.end(0);
  assert.equal((await held(limits)).refusal, 'too-many-requests');
});

test('of requests that have not had their turn no more may be there than a minute has', async (t) => {
  const { begin, held, tick } = create(t);
  const limits = { requestsPerMinute: 2 };
  const slots = [await begin(limits), await begin(limits)];
  tick(minute);
  assert.equal((await held(limits)).refusal, 'too-many-requests');
  for (const slot of slots) slot.count();
  tick(minute);
  for (const slot of slots) slot.end(0);
  await begin(limits);
  await begin(limits);
  assert.equal((await held(limits)).refusal, 'too-many-requests');
});

test('of several limits that are used up the one that ends last is told', async (t) => {
  const { begin, held, use, tick } = create(t);
  const limits = { tokensPerMinute: 100, tokensPerDay: 100 };
  const waiting = await begin(limits);
  await use(100, limits);
  tick(second);
  const told = { limit: '100 tokens a day', retryAfter: 86_399 };
  const { refusal, limit, retryAfter, headers } = await held(limits);
  assert.deepEqual([refusal, { limit, retryAfter }], ['too-many-tokens', told]);
  assert.equal(headers['RateLimit-Reset'], '86399');
  const refused = await waiting.reserve(tokens(1));
  assert.deepEqual({ limit: refused?.limit, retryAfter: refused?.retryAfter }, told);
  // One that is used up is told before one whose rest is set aside.
  const day = { ...limits, tokensPerDay: 1_000 };
  tick(minute);
  await use(100, day);
  const next = await begin({ ...day, tokensPerMinute: 101 });
  assert.equal(await next.reserve(tokens(700)), undefined);
  const last = await begin({ ...day, tokensPerMinute: 101 });
  await use(1, { ...day, tokensPerMinute: 101 });
  assert.equal((await last.reserve(tokens(900)))?.limit, '101 tokens a minute');
});

test('what is set aside stays so when a new window begins', async (t) => {
  const { begin, use, tick } = create(t);
  const limits = { tokensPerMinute: 1_000 };
  await use(100, limits);
  const slot = await begin(limits);
  await slot.reserve(tokens(800));
  tick(minute);
  const next = await begin(limits);
  assert.equal((await next.reserve(tokens(201)))?.refusal, 'tokens-held');
  assert.equal(await next.reserve(tokens(200)), undefined);
});

test('a slot ends once, and one that has ended reserves nothing', async (t) => {
  const { begin } = create(t);
  const limits = { tokensPerMinute: 1_000, concurrentRequests: 2 };
  const slot = await begin(limits);
  await begin(limits);
  await slot.reserve(tokens(500));
  slot.end(600);
  slot.end(600);
  assert.equal(await slot.reserve(tokens(1_000)), undefined);
  const next = await begin(limits);
  assert.equal(await slot.reserve(tokens(1_000)), undefined);
  assert.equal(await next.reserve(tokens(100)), undefined);
  assert.equal(next.headers()['RateLimit-Remaining'], '300');
});

test('a slot that ends while it reserves leaves nothing set aside', async (t) => {
  const { begin } = create(t);
  const limits = { tokensPerMinute: 1_000 };
  const slot = await begin(limits);
  const reserving = slot.reserve(tokens(1_000));
  slot.end(0);
  await reserving;
  const next = await begin(limits);
  await begin(limits);
  assert.equal(await next.reserve(tokens(1_000)), undefined);
  assert.equal(next.headers()['RateLimit-Remaining'], '0');
});

test('limits of the key hold beside those of its user, each for itself', async (t) => {
  const { begin, held } = create(t);
  const ofKey = (keyId: string) => ({ keyId, limitsPerKey: { requestsPerMinute: 2 } });
  const limits = { requestsPerMinute: 3 };
  await begin(limits, ofKey('a'));
  const slot = await begin(limits, ofKey('a'));
  assert.equal(slot.headers()['RateLimit-Policy'], '3;w=60, 2;w=60');
  assert.equal(slot.headers()['RateLimit-Limit'], '2');
  assert.equal((await held(limits, ofKey('a'))).headers['RateLimit-Limit'], '2');
  await begin(limits, ofKey('b'));
  assert.equal((await held(limits, ofKey('b'))).headers['RateLimit-Limit'], '3');
  await begin(limits, { id: 'noa', keyId: 'c', limitsPerKey: { requestsPerMinute: 2 } });
});

test('a user and a key of the same id are counted apart', async (t) => {
  const { begin } = create(t);
  const one = { concurrentRequests: 1 };
  await begin(one, { id: 'same' });
  await begin({}, { id: 'other', keyId: 'same', limitsPerKey: one });
});

test('a limit that is lowered or raised holds at once', async (t) => {
  const { begin, held, use } = create(t);
  await use(500, { tokensPerDay: 1_000 });
  assert.equal((await held({ tokensPerDay: 500 })).refusal, 'too-many-tokens');
  await begin({ tokensPerDay: 501 });
  await begin({}, { id: 'noa' });
  await begin({}, { id: 'noa' });
  assert.equal((await held({ concurrentRequests: 2 }, { id: 'noa' })).refusal, 'too-many-at-once');
  await begin({ concurrentRequests: 3 }, { id: 'noa' });
});

test('of 200 requests in one tick no more begin than may, whatever the limit', async (t) => {
  const { limiter } = create(t);
  for (const [id, limits, expected] of [
    ['a', { concurrentRequests: 7 }, 7],
    ['b', { requestsPerMinute: 60 }, 60],
    ['c', { requestsPerMinute: 60, concurrentRequests: 50, tokensPerDay: 10 }, 50],
  ] as const) {
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, async () => limiter.begin(caller(limits, { id, keyId: id }))),
    );
    assert.equal(outcomes.filter((outcome) => 'slot' in outcome).length, expected);
  }
});

test('200 parallel clients never get more tokens than the allowance and one request', async (t) => {
  const { limiter } = create(t);
  const limits = { tokensPerDay: 100_000 };
  const largest = 3_000;
  let used = 0;
  let refused = 0;
  const client = async (number: number) => {
    for (let i = 0; i < 20; i++) {
      const outcome = await limiter.begin(caller(limits, { keyId: `key${number % 3}`, limitsPerKey: limits }));
      if ('held' in outcome) return;
      const output = 1 + ((number * 7_919 + i * 104_729) % (largest - 10));
      const held = await outcome.slot.reserve(tokens(10, output));
      if (held === undefined) {
        // Others begin, reserve and end meanwhile.
        await new Promise((resolve) => setImmediate(resolve));
        used += 10 + output;
      } else refused += 1;
      outcome.slot.end(held === undefined ? 10 + output : 0);
    }
  };
  await Promise.all(Array.from({ length: 200 }, (_, i) => client(i)));
  assert.ok(refused > 0);
  assert.ok(used >= 100_000 - largest && used < 100_000 + largest, `used ${used}`);
});

test('whatever callers do at the same moment: no more tokens than the allowance and one request', async (t) => {
  const { tick } = create(t);
  const allowance = 1_000;
  const request = fc.record({
    estimate: fc.nat(1_500),
    pauses: fc.nat(4),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 30 }), async (requests) => {
      const limiter = new Limiter();
      let used = 0;
      let largest = 0;
      await Promise.all(
        requests.map(async ({ estimate, pauses, part }) => {
          for (let i = 0; i < pauses; i++) await undefined;
          const outcome = await limiter.begin(caller({ tokensPerMinute: allowance }));
          if ('held' in outcome) return;
          const held = await outcome.slot.reserve(tokens(0, estimate));
          const really = held === undefined ? Math.round(estimate * part) : 0;
          for (let i = 0; i < pauses * 3; i++) await undefined;
          used += really;
          largest = Math.max(largest, really);
          outcome.slot.end(really);
        }),
      );
      assert.ok(used <= allowance + largest, `used ${used} of ${allowance}, the largest being ${largest}`);
      const left = await limiter.begin(caller({ tokensPerMinute: allowance }));
      assert.equal('held' in left, used >= allowance);
      tick(minute);
    }),
    { numRuns: 300 },
  );
});

test('a count that is no number is taken for the most there is', async (t) => {
  const { begin, held } = create(t);
  const slot = await begin({ tokensPerDay: 1_000_000 });
  await slot.reserve(tokens(Number.NaN, Number.POSITIVE_INFINITY));
  slot.end(Number.NaN);
  assert.equal((await held({ tokensPerDay: 1_000_000 })).refusal, 'too-many-tokens');
});

test('a limiter that fails refuses, and keeps no place (SEC-47)', async (t) => {
  const { limiter, begin } = create(t);
  const limits = { tokensPerDay: 1_000, requestsPerMinute: 10, concurrentRequests: 1 };
  const get = t.mock.method(RateLimiterMemory.prototype, 'get', async () => Promise.reject(new Error('broken')));
  await assert.rejects(async () => limiter.begin(caller(limits)), /broken/);
  get.mock.restore();
  const slot = await begin(limits);
  t.mock.method(RateLimiterMemory.prototype, 'get', async () => Promise.reject(new Error('broken')));
  await assert.rejects(async () => slot.reserve(tokens(1)), /broken/);
});

test('no more than 10,000 users and keys are counted: the one that used nothing for longest is forgotten', async (t) => {
  const { use, held, begin } = create(t);
  const limits = { tokensPerDay: 10 };
  for (let i = 0; i < 10_000; i++) await use(10, limits, { id: `user${i}` });
  assert.equal((await held(limits, { id: 'user0' })).refusal, 'too-many-tokens');
  await use(10, limits, { id: 'one more' });
  await begin(limits, { id: 'user0' });
  assert.equal((await held(limits, { id: 'user1' })).refusal, 'too-many-tokens');
});
