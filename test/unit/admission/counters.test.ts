import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Counter, Counters, windows } from '../../../src/guard/admission/counters.ts';

const minute = 60_000;
const day = 24 * 60 * minute;
const now = Date.parse('2026-01-01T00:00:00Z');

function counterOf(limit: 'tokensPerDay' | 'tokensPerMinute', key = 'user mia'): Counter {
  const window = windows.find((candidate) => candidate.limit === limit);
  assert.ok(window);
  return { key, window };
}

/** Counters in time that stands still. */
function create(t: TestContext, onKept?: () => void): Counters {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now });
  return new Counters(onKept);
}

async function countOf(counters: Counters, counter: Counter) {
  const [count] = await counters.read([counter]);
  return count;
}

test('the counts of a day are kept, those of a minute are not', async (t) => {
  let told = 0;
  const counters = create(t, () => {
    told += 1;
  });
  counters.add(counterOf('tokensPerMinute'), 5);
  assert.equal(told, 0);
  counters.add(counterOf('tokensPerDay'), 5);
  t.mock.timers.tick(minute);
  counters.add(counterOf('tokensPerDay'), 2);
  counters.add(counterOf('tokensPerDay', 'key k'), 1);
  assert.equal(told, 3);
  assert.deepEqual(counters.kept, [
    { limit: 'tokensPerDay', key: 'user mia', used: 7, endsAt: now + day },
    { limit: 'tokensPerDay', key: 'key k', used: 1, endsAt: now + minute + day },
  ]);

  const next = new Counters();
  next.restore(counters.kept);
  assert.deepEqual(await countOf(next, counterOf('tokensPerDay')), { used: 7, millisecondsLeft: day - minute });
  assert.equal((await countOf(next, counterOf('tokensPerMinute')))?.used, 0);
  next.add(counterOf('tokensPerDay'), 3);
  assert.deepEqual(await countOf(next, counterOf('tokensPerDay')), { used: 10, millisecondsLeft: day - minute });
  t.mock.timers.tick(day - minute);
  assert.deepEqual(await countOf(next, counterOf('tokensPerDay')), { used: 0, millisecondsLeft: day });
});

test('days that are over are not taken up, and a clock that was set back makes none longer', async (t) => {
  const counters = create(t);
  const kept = { limit: 'tokensPerDay', key: 'user mia', used: 7 } as const;
  counters.restore([{ ...kept, endsAt: now }]);
  assert.equal((await countOf(counters, counterOf('tokensPerDay')))?.used, 0);
  counters.restore([{ ...kept, endsAt: now + 40 * day }]);
  assert.deepEqual(await countOf(counters, counterOf('tokensPerDay')), { used: 7, millisecondsLeft: day });
  t.mock.timers.setTime(now - 30 * day);
  assert.deepEqual(await countOf(counters, counterOf('tokensPerDay')), { used: 7, millisecondsLeft: day });
});

test('as many are kept as are counted, and no more', async (t) => {
  const counters = create(t);
  const kept = Array.from({ length: 10_001 }, (_, index) => {
    return { limit: 'tokensPerDay', key: `user ${index}`, used: 1, endsAt: now + day } as const;
  });
  counters.restore(kept);
  counters.add(counterOf('tokensPerDay'), 1);
  assert.equal(counters.kept.length, 10_000);
});
