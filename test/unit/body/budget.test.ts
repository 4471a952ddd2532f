import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BodyBudget } from '../../../src/guard/body/budget.ts';

const noReserve = { total: 0, perHolder: 0 };

test('one alone has half, two a third each, and there is some left for whoever comes new', () => {
  const budget = new BodyBudget({ total: 120, reserve: noReserve });
  const [anna, again, ben, cleo] = ['anna', 'anna', 'ben', 'cleo'].map((name) => budget.hold(name));
  assert.equal(anna?.take(50), true);
  assert.equal(again?.take(11), false, 'two requests of one share what is for one');
  assert.equal(again?.take(10), true);
  assert.equal(ben?.take(31), false);
  assert.equal(ben?.take(30), true);
  assert.equal(anna?.take(1), false, 'who has more than is free gets no more');
  assert.equal(cleo?.take(15), true);
  anna?.release();
  assert.equal(ben?.take(17), true, 'what is given back is for all');
});

test('a small body fits beside large ones, however many share those', () => {
  const budget = new BodyBudget({ total: 1_000, reserve: { total: 1_000, perHolder: 10 } });
  for (let number = 0; number < 30; number += 1) {
    const hold = budget.hold(`hog${number}`);
    for (let bytes = 512; bytes >= 1; bytes /= 2) while (hold.take(bytes)) {}
  }
  const anna = budget.hold('anna');
  assert.equal(anna.take(10), true);
  assert.equal(anna.take(1_000), false);
  assert.equal(budget.hold('anna').take(9), false, 'the reserve is for one holder, not for each request');
  anna.release();
  assert.equal(budget.hold('anna').take(10), true);
});

test('where the reserve has no room, a small body is of what is shared', () => {
  const budget = new BodyBudget({ total: 100, reserve: { total: 10, perHolder: 10 } });
  const [anna, ben] = [budget.hold('anna'), budget.hold('ben')];
  assert.equal(anna.take(10), true);
  assert.equal(ben.take(10), true);
});

test('what was given back is given back once, and nothing more is taken', () => {
  const budget = new BodyBudget({ total: 20, reserve: { total: 20, perHolder: 10 } });
  const hold = budget.hold('anna');
  assert.equal(hold.take(20), true);
  hold.release();
  hold.release();
  assert.equal(hold.take(1), false);
  assert.equal(hold.take(0), false);
  assert.equal(budget.hold('anna').take(20), true);
  assert.equal(budget.hold('anna').take(1), false);
});

test('it never holds more than it may, and nothing when all is given back', () => {
  const limits = { total: 40, reserve: { total: 16, perHolder: 5 } };
  const steps = fc.array(fc.tuple(fc.nat({ max: 5 }), fc.option(fc.nat({ max: 8 }))), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (all) => {
      const budget = new BodyBudget(limits);
      const holds = Array.from({ length: 6 }, (_, i) => ({ taken: 0, hold: budget.hold(`user${i % 3}`) }));
      const most = limits.reserve.perHolder + limits.total / 2;
      for (const [i, bytes] of all) {
        const one = holds[i];
        assert.ok(one !== undefined);
        if (bytes === null) {
          one.hold.release();
          one.taken = 0;
        } else if (one.hold.take(bytes)) one.taken += bytes;
        const sums = [0, 1, 2].map((user) => (holds[user]?.taken ?? 0) + (holds[user + 3]?.taken ?? 0));
        assert.ok(Math.max(...sums) <= most);
        assert.ok(sums.reduce((a, b) => a + b, 0) <= limits.total + limits.reserve.total);
      }
      for (const { hold } of holds) hold.release();
      assert.equal(budget.hold('anna').take(most), true);
    }),
  );
});
