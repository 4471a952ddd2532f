import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Deadlines } from '../../../src/guard/body/deadlines.ts';
import { MiB } from '../../../src/guard/config.ts';

function scene(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const late: string[] = [];
  const deadlines = new Deadlines();
  const begin = (name: string, state = { bytes: 0, isWaiting: false }) => {
    const body = Object.assign(state, { onLate: () => void late.push(name) });
    deadlines.begin(body);
    return body;
  };
  return { late, deadlines, begin, pass: (seconds: number) => t.mock.timers.tick(seconds * 1_000) };
}

test('a body has thirty seconds, and one more for each 256 KiB that came', (t) => {
  const { late, begin, pass } = scene(t);
  begin('little', { bytes: 1_000, isWaiting: false });
  const much = begin('much');
  pass(29);
  much.bytes = MiB;
  assert.deepEqual(late, []);
  pass(1);
  assert.deepEqual(late, ['little']);
  pass(3);
  assert.deepEqual(late, ['little']);
  pass(1);
  assert.deepEqual(late, ['little', 'much']);
  pass(100);
  assert.deepEqual(late, ['little', 'much'], 'and is told once');
});

test('the time for which it waits for the guard does not count', (t) => {
  const { late, begin, pass } = scene(t);
  const body = begin('a');
  pass(20);
  body.isWaiting = true;
  pass(100);
  body.isWaiting = false;
  pass(9);
  assert.deepEqual(late, []);
  pass(1);
  assert.deepEqual(late, ['a']);
});

test('one that came is not late, and those that come later have their own time', (t) => {
  const { late, deadlines, begin, pass } = scene(t);
  deadlines.end(begin('came'));
  pass(60);
  begin('next');
  pass(29);
  begin('third');
  pass(1);
  assert.deepEqual(late, ['next']);
  pass(29);
  assert.deepEqual(late, ['next', 'third']);
});
