import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldsOf, flagOf, keepAliveOf, listOf, numberOf, textOf } from '../../../src/demo/fields.ts';
import { Refusal } from '../../../src/demo/refusal.ts';

test('names match without regard to case, and the last spelling wins', () => {
  assert.equal(textOf(fieldsOf(JSON.parse('{"model":"a","Model":"b","MODEL":"c"}')), 'model'), 'c');
});

test('the long s and the Kelvin sign match s and k, as in Go', () => {
  const fields = fieldsOf({ '\u017fource': 'a', '\u212aeep_alive': 0 });
  assert.equal(textOf(fields, 'source'), 'a');
  assert.equal(keepAliveOf(fields), 0);
});

test('a member named __proto__ is only a member', () => {
  const fields = fieldsOf(JSON.parse('{"__proto__":{"model":"a"}}'));
  assert.equal(textOf(fields, 'model'), '');
});

test('absent and null members read as nothing', () => {
  for (const fields of [fieldsOf(null), fieldsOf({}), fieldsOf({ a: null })]) {
    assert.equal(textOf(fields, 'a'), '');
    assert.equal(flagOf(fields, 'a'), undefined);
    assert.equal(numberOf(fields, 'a'), undefined);
    assert.deepEqual(listOf(fields, 'a'), []);
  }
});

test('a member of another type is refused', () => {
  const refused = (error: unknown): boolean => error instanceof Refusal && error.status === 400;
  assert.throws(() => textOf({ a: 1 }, 'a'), refused);
  assert.throws(() => flagOf({ a: 'true' }, 'a'), refused);
  assert.throws(() => numberOf({ a: '1' }, 'a'), refused);
  assert.throws(() => listOf({ a: {} }, 'a'), refused);
  assert.throws(() => fieldsOf([]), refused);
  assert.throws(() => fieldsOf('text'), refused);
});

for (const [value, ms] of [
  [0, 0],
  ['0', 0],
  [5, 5_000],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
  ['1.5s', 1_500],
  [-1, Number.POSITIVE_INFINITY],
  ['-1s', Number.POSITIVE_INFINITY],
] as const) {
  test(`keep_alive ${JSON.stringify(value)} is ${ms} ms`, () => {
    assert.equal(keepAliveOf({ keep_alive: value }), ms);
  });
}

test('a keep_alive that is no duration is refused', () => {
  assert.throws(() => keepAliveOf({ keep_alive: 'soon' }), Refusal);
});
