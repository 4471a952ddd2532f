import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { watchReader } from '../../../src/guard/admission/slowReader.ts';

function create(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const answer = new PassThrough();
  answer.resume();
  let calls = 0;
  watchReader(answer, 10_000, () => {
    calls += 1;
  });
  const pass = (ms: number) => {
    now += ms;
    t.mock.timers.tick(ms);
  };
  return { answer, pass, calls: () => calls };
}

/** `resume` is told in the next tick. */
const told = () => new Promise(process.nextTick);

test('a reader that never pauses, or not for so long, is not slow', async (t) => {
  const { answer, pass, calls } = create(t);
  pass(60_000);
  answer.pause();
  pass(9_999);
  answer.resume();
  await told();
  pass(60_000);
  assert.equal(calls(), 0);
});

test('pauses are counted together, and the reader is slow once', async (t) => {
  const { answer, pass, calls } = create(t);
  for (let i = 0; i < 9; i++) {
    answer.pause();
    pass(1_000);
    answer.resume();
    await told();
  }
  assert.equal(calls(), 0);
  answer.pause();
  pass(1_000);
  assert.equal(calls(), 1);
  answer.resume();
  await told();
  answer.pause();
  pass(60_000);
  assert.equal(calls(), 1);
});

test('an answer that is over is watched no more', async (t) => {
  const { answer, pass, calls } = create(t);
  answer.pause();
  answer.destroy();
  await told();
  await told();
  pass(60_000);
  assert.equal(calls(), 0);
});
