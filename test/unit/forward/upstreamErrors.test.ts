import assert from 'node:assert/strict';
import { test } from 'node:test';
import { upstreamRefusal } from '../../../src/guard/forward/upstreamErrors.ts';

test('an upstream that is not there, is slow, or breaks off are three things', () => {
  assert.equal(upstreamRefusal('ECONNREFUSED'), 'upstream-down');
  assert.equal(upstreamRefusal('ENOTFOUND'), 'upstream-down');
  assert.equal(upstreamRefusal('ETIMEDOUT'), 'upstream-timeout');
  assert.equal(upstreamRefusal('ECONNRESET'), 'upstream-failed');
  assert.equal(upstreamRefusal(undefined), 'upstream-failed');
});
