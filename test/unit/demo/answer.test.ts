import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerText, embeddingOf, planAnswer, timestamp, tokenText } from '../../../src/demo/answer.ts';

test('every answer says that it is a demo, even one of a single token', () => {
  assert.match(tokenText(0), /demo/);
  assert.match(answerText(planAnswer('demo', '', 22, undefined)), /demo Ollama.*no language model is running/);
});

test('tokens put together are the text of the answer', () => {
  const answer = planAnswer('demo', '', 50, undefined);
  assert.equal(Array.from({ length: 50 }, (_, index) => tokenText(index)).join(''), answerText(answer));
});

test('a limit cuts the answer short, and is the reason that it ends', () => {
  assert.partialDeepStrictEqual(planAnswer('demo', '', 10, 3), { tokens: 3, doneReason: 'length' });
  assert.partialDeepStrictEqual(planAnswer('demo', '', 10, 30), { tokens: 10, doneReason: 'stop' });
  assert.partialDeepStrictEqual(planAnswer('demo', '', 10, -1), { tokens: 10, doneReason: 'stop' });
});

test('a longer prompt has more tokens', () => {
  const short = planAnswer('demo', [{ role: 'user', content: 'hi' }], 1, undefined);
  const long = planAnswer(
    'demo',
    [{ role: 'user', content: [{ type: 'text', text: 'hi '.repeat(100) }] }],
    1,
    undefined,
  );
  assert.ok(short.promptTokens >= 1);
  assert.ok(long.promptTokens > short.promptTokens);
});

test('an embedding is a unit vector, the same for the same text only', () => {
  const vector = embeddingOf('a', 16);
  assert.equal(vector.length, 16);
  assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-6);
  assert.deepEqual(vector, embeddingOf('a', 16));
  assert.notDeepEqual(vector, embeddingOf('b', 16));
});

test('a timestamp counts microseconds', () => {
  assert.match(timestamp(), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
});
