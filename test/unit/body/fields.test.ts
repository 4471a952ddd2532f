import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Field, outermost } from '../../../src/guard/body/fields.ts';
import { folded } from '../../../src/guard/body/strings.ts';
import { factsOf, refusalOf } from './support.ts';

/** Every object whose members are known, once. */
function levels(field: Field | undefined, seen = new Set<Field>()): ReadonlySet<Field> {
  if (field === undefined || seen.has(field)) return seen;
  seen.add(field);
  for (const member of [...(field.members?.values() ?? []), field.others, field.items]) levels(member, seen);
  return seen;
}

test('every known key is written as it folds: else its case variants would pass', () => {
  const keys = [...levels(outermost)].flatMap(({ members }) => [...(members?.keys() ?? [])]);
  assert.ok(keys.length > 70);
  for (const key of keys) assert.equal(folded(key), key);
});

test('keys that no decision needs are known all the same: neither twice nor in another letter case', () => {
  const keys = 'stream system input images tools files adapters stream_options'.split(' ');
  for (const key of keys) {
    assert.ok(!factsOf(`{"${key}":null}`).values.has(key), key);
    assert.equal(refusalOf(`{"${key}":null,"${key}":null}`), 'ambiguous-json', key);
    assert.equal(refusalOf(`{"${key.toUpperCase()}":null}`), 'ambiguous-json', key);
  }
});

test('letters fold as far as Go folds them: its long s and Kelvin sign are an s and a k', () => {
  assert.deepEqual(['MODEL', 'me\u017f\u017fages', '\u212aeep_alive', 'é'].map(folded), [
    'model',
    'messages',
    'keep_alive',
    'é',
  ]);
});
