import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../../../src/guard/policy/policyDocument.ts';
import { parseWholeNumber } from '../../../src/guard/policy/wholeNumber.ts';

test('a whole number is one in digits alone, which a policy takes', () => {
  for (const text of ['1', '30', '1000000000', '999999999999999']) {
    assert.equal(parseWholeNumber(text), Number(text));
    assert.ok(limits.safeParse({ tokensPerDay: Number(text) }).success);
  }
  for (const text of ['', '0', '01', '-1', '+1', '1.5', '1e3', ' 1', '1 000', '１', '1000000000000000']) {
    assert.equal(parseWholeNumber(text), undefined, text);
  }
});
