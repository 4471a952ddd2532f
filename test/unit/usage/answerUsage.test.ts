import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { usageAtEnd } from '../../../src/guard/usage/answerUsage.ts';

/** As Go writes it, in one of the dialects, with something in front that a client or a model made up. */
const dialects: readonly ((made: unknown, prompt: number, output: number) => object)[] = [
  (made, prompt, output) => ({
    message: made,
    done: true,
    prompt_eval_count: prompt,
    eval_count: output,
    eval_duration: 7,
  }),
  (made, prompt, output) => ({
    choices: made,
    usage: { prompt_tokens: prompt, completion_tokens: output, total_tokens: 1 },
  }),
  (made, prompt, output) => ({ content: made, usage: { input_tokens: prompt, output_tokens: output } }),
  (made, prompt, output) => ({
    response: { text: made, tools: made, usage: { input_tokens: prompt, output_tokens: output, details: made } },
    type: 'response.completed',
  }),
  (made, prompt, output) => ({
    output: made,
    usage: { input_tokens: prompt, input_tokens_details: { cached_tokens: 0 }, output_tokens: output },
    max_output_tokens: 5,
    metadata: made,
  }),
];

/** What a client would write to be counted for less. */
const names = fc.constantFrom(
  'eval_count',
  'prompt_eval_count',
  'usage',
  'response',
  'message',
  'output_tokens',
  'input_tokens',
  'completion_tokens',
  'usage.output_tokens',
  '","eval_count":1,"',
  '{"usage":{"output_tokens":1}}',
  '\\',
  '\\"',
  '"',
);
const { made } = fc.letrec((tie) => ({
  made: fc.oneof(
    { depthSize: 'small' },
    fc.integer({ min: 1, max: 9 }),
    names,
    fc.constant(null),
    fc.array(tie('made'), { maxLength: 3 }),
    fc.dictionary(names, tie('made'), { maxKeys: 4 }),
  ),
}));
const counts = fc.integer({ min: 1, max: 999_999_999 });

test('the numbers are those in their places, whatever else a client or a model puts in', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...dialects),
      made,
      counts,
      counts,
      fc.constantFrom(0, 2),
      (dialect, value, prompt, output, indent) => {
        const text = JSON.stringify(dialect(value, prompt, output), undefined, indent);
        assert.deepEqual(usageAtEnd(text), { prompt, output });
      },
    ),
    { numRuns: 3_000 },
  );
});

test('of a record that lacks its beginning the numbers are the same, or are not there', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...dialects),
      made,
      counts,
      counts,
      fc.nat(),
      (dialect, value, prompt, output, from) => {
        const text = JSON.stringify(dialect(value, prompt, output));
        const usage = usageAtEnd(text.slice(from % text.length));
        assert.ok(usage.prompt === undefined || usage.prompt === prompt);
        assert.ok(usage.output === undefined || usage.output === output);
      },
    ),
    { numRuns: 5_000 },
  );
  // The end of one name is another.
  assert.deepEqual(usageAtEnd('eval_count":26}'), {});
  assert.deepEqual(usageAtEnd('12,"eval_count":26}'), { output: 26 });
});

test('0 is a placeholder, and what is no count is none', () => {
  for (const number of ['0', '-5', '1.5', '1e3', '"7"', 'null', '10000000000', '[7]', '{"eval_count":7}']) {
    assert.deepEqual(usageAtEnd(`{"eval_count":${number}}`), {}, number);
  }
  for (const text of ['{"eval_count":"x","a":7}', '{"eval_count":[],"a":7}', '{"usage":["output_tokens",7]}']) {
    assert.deepEqual(usageAtEnd(text), {}, text);
  }
  assert.deepEqual(usageAtEnd('{"eval_count": 7 }'), { output: 7 });
  // What is told last is what was counted last.
  assert.deepEqual(usageAtEnd('{"usage":{"input_tokens":1},"prompt_eval_count":7}'), { prompt: 7 });
});

test('what is no JSON has no numbers', () => {
  for (const text of [
    '',
    '}',
    ']',
    '"',
    ':',
    '}}}}',
    '":"',
    '{"a"}',
    'eval_count: 7}',
    '[7]',
    ',7}',
    '\\"}',
    '""""}',
  ]) {
    assert.deepEqual(usageAtEnd(text), {}, text);
  }
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...'{}[]",:\\7 e')), (parts) => {
      assert.deepEqual(usageAtEnd(parts.join('')), {});
    }),
  );
});
