import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Roster } from '../../src/guard/roster.ts';

test('whoever was added is there until it leaves, whatever the order', () => {
  const steps = fc.array(fc.oneof(fc.constant('add'), fc.nat({ max: 30 })), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (all) => {
      const roster = new Roster<number>();
      const added: { readonly value: number; readonly leave: () => void }[] = [];
      const expected = new Set<number>();
      for (const step of all) {
        if (typeof step === 'number') {
          // Some leave twice.
          const one = added[step];
          one?.leave();
          if (one !== undefined) expected.delete(one.value);
        } else {
          const value = added.length;
          added.push({ value, leave: roster.add(value) });
          expected.add(value);
        }
        assert.deepEqual(new Set(roster.values()), expected);
        assert.equal(roster.values().length, expected.size);
      }
    }),
  );
});

test('one that leaves while the others are looked at disturbs nobody', () => {
  const roster = new Roster<string>();
  const leave = ['a', 'b', 'c'].map((value) => roster.add(value));
  const seen = roster.values().filter((_, i) => {
    leave[i]?.();
    return true;
  });
  assert.deepEqual([seen, roster.values()], [['a', 'b', 'c'], []]);
});
