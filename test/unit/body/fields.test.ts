import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Field, outermost } from '../../../src/guard/body/fields.ts';
import { folded } from '../../../src/guard/body/strings.ts';

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

test('letters fold as far as Go folds them: its long s and Kelvin sign are an s and a k', () => {
  assert.deepEqual(['MODEL', 'me\u017f\u017fages', '\u212aeep_alive', 'é'].map(folded), [
    'model',
    'messages',
    'keep_alive',
    'é',
  ]);
});
