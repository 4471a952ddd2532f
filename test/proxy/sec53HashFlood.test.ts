// SEC-53: a slow hash is a weapon against its owner. What a flood may cost is counted in compares.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { basic, team } from '../support/people.ts';
import { request } from '../support/rawClient.ts';

const guess = (i: number, name = 'mia') => ({ headers: { authorization: basic(name, `guess-${i}`) } });
const statuses = (responses: readonly { readonly status: number }[]) => responses.map(({ status }) => status);

test('SEC-53: 50 wrong passwords at once cost at most ten compares', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const responses = await Promise.all(Array.from({ length: 50 }, (_, i) => guard.call(guess(i))));
  assert.equal(guard.compares.length, 10);
  assert.equal(statuses(responses).filter((status) => status === 401).length, 10);
  assert.equal(statuses(responses).filter((status) => status === 429).length, 40);
  for (const { status, headers } of responses) {
    if (status === 429) assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/);
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-53: wrong API keys cost no compare at all, and are limited like passwords', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const wrong = { headers: { authorization: `Bearer og_${'a'.repeat(10)}_${'A'.repeat(43)}` } };
  const responses = await Promise.all(Array.from({ length: 12 }, () => guard.call(wrong)));
  assert.deepEqual(statuses(responses).toSorted(), [...Array(10).fill(401), 429, 429]);
  assert.equal(guard.compares.length, 0);
});

test('one right password on 32 connections at once costs one compare', async (t) => {
  const upstream = await startFakeOllama(t);
  const compare = Promise.withResolvers<boolean>();
  const guard = await startGuard(t, upstream, { comparePassword: () => compare.promise });
  const right = { headers: { authorization: team.mia.basic } };
  const pending = Array.from({ length: 32 }, () => guard.call(right));
  // A request that was sent after all of them and is answered shows that they wait for the compare.
  await guard.call({ path: '/_guard/health' });
  compare.resolve(true);
  assert.deepEqual(new Set(statuses(await Promise.all(pending))), new Set([200]));
  assert.equal(guard.compares.length, 1);
  await guard.call(right);
  assert.equal(guard.compares.length, 1, 'and none after that');
});

test('SEC-54: a wrong password is never remembered', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (let i = 0; i < 3; i++) assert.equal((await guard.call(guess(0))).status, 401);
  assert.equal(guard.compares.length, 3);
});

test('SEC-53: sign-ins that wait are bounded per address and in all: 429 with Retry-After', async (t) => {
  const upstream = await startFakeOllama(t);
  const compare = Promise.withResolvers<boolean>();
  const guard = await startGuard(t, upstream, { comparePassword: () => compare.promise });
  const flood = (localAddress: string, count: number) =>
    Array.from({ length: count }, (_, i) =>
      request(t, guard.port, guess(i, `user${i}.${localAddress}`), { localAddress }),
    );
  const answered = (pending: readonly Promise<unknown>[]) => Promise.any(pending) as Promise<{ status: number }>;

  const first = flood('127.0.0.1', 33);
  const refused = (await answered(first)) as Awaited<(typeof first)[number]>;
  assert.equal(refused.status, 429);
  assert.match(refused.headers['retry-after'] ?? '', /^[1-9]\d*$/);
  const second = flood('127.0.0.2', 32);
  const third = flood('127.0.0.3', 1);
  assert.equal((await answered([...second.slice(31), ...third])).status, 429, 'beyond 64 in all');
  assert.equal(
    (await guard.call({ headers: { authorization: team.mia.bearer } })).status,
    200,
    'a key waits for nobody',
  );

  compare.resolve(false);
  const all = statuses(await Promise.all([...first, ...second, ...third]));
  assert.equal(all.filter((status) => status === 429 || status === 401).length, 66);
});
