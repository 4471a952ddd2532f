import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rateHeaders } from '../../../src/guard/admission/rateHeaders.ts';

const now = 1_000_000;
const minute = { limit: 60, remaining: 30, seconds: 60, endsAt: now + 10_001 };
const day = { limit: 100_000, remaining: 20_000, seconds: 86_400, endsAt: now + 3_600_000 };

test('without a limit there are no fields', () => {
  assert.deepEqual(rateHeaders([]), {});
});

test('the fields tell of the window with the least left of its limit, and the policy of all', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now });
  assert.deepEqual(rateHeaders([minute, day]), {
    'RateLimit-Limit': '100000',
    'RateLimit-Remaining': '20000',
    'RateLimit-Reset': '3600',
    'RateLimit-Policy': '60;w=60, 100000;w=86400',
  });
});

test('a window that is named is told of, in whole seconds and never below 0', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now });
  assert.equal(rateHeaders([minute, day], minute)['RateLimit-Reset'], '11');
  assert.equal(rateHeaders([minute, day], minute)['RateLimit-Limit'], '60');
  assert.equal(rateHeaders([{ ...minute, endsAt: now - 5_000 }])['RateLimit-Reset'], '0');
});
