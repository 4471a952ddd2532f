import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BodyBudget } from '../../../src/guard/body/budget.ts';

test('there is so much in all, and so much for one', () => {
  const budget = new BodyBudget({ total: 10, perHolder: 6 });
  const [anna, again, ben] = [budget.hold('anna'), budget.hold('anna'), budget.hold('ben')];
  assert.equal(anna.take(4), true);
  assert.equal(again.take(3), false, 'two requests of one share what is for one');
  assert.equal(again.take(2), true);
  assert.equal(ben.take(5), false, 'and all of them what is there');
  assert.equal(ben.take(4), true);
  anna.release();
  assert.equal(budget.held, 6);
  assert.equal(ben.take(2), true);
});

test('what was given back is given back once, and nothing more is taken', () => {
  const budget = new BodyBudget({ total: 10, perHolder: 10 });
  const hold = budget.hold('anna');
  hold.take(4);
  hold.release();
  hold.release();
  assert.equal(hold.take(1), false);
  assert.equal(budget.held, 0);
});

test('it never holds more than it may, and nothing when all is given back', () => {
  const steps = fc.array(fc.tuple(fc.nat({ max: 5 }), fc.option(fc.nat({ max: 8 }))), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (all) => {
      const budget = new BodyBudget({ total: 20, perHolder: 10 });
      const holds = Array.from({ length: 6 }, (_, i) => ({ taken: 0, ...budget.hold(`user${i % 3}`) }));
      for (const [i, bytes] of all) {
        const hold = holds[i];
        assert.ok(hold !== undefined);
        if (bytes === null) {
          hold.release();
          hold.taken = 0;
        } else if (hold.take(bytes)) hold.taken += bytes;
        const sums = [0, 1, 2].map((user) => (holds[user]?.taken ?? 0) + (holds[user + 3]?.taken ?? 0));
        assert.equal(
          budget.held,
          sums.reduce((a, b) => a + b, 0),
        );
        assert.ok(budget.held <= 20 && Math.max(...sums) <= 10);
      }
      for (const hold of holds) hold.release();
      assert.equal(budget.held, 0);
    }),
  );
});
