import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { TokenCounter, watchTokens } from '../../../src/guard/usage/tokenCounter.ts';
import { inPieces, pieces } from './pieces.ts';

/** What was called back, one number a chunk and one for the end. */
async function tokensOf(
  path: string,
  type: string,
  chunks: readonly string[],
  statusCode = 200,
): Promise<readonly number[]> {
  const answer = new PassThrough();
  Object.assign(answer, { statusCode, headers: { 'content-type': type } });
  const tokens: number[] = [];
  watchTokens(path, answer as unknown as IncomingMessage, (count) => tokens.push(count));
  for (const chunk of chunks) answer.write(chunk);
  answer.end();
  answer.resume();
  await new Promise((resolve) => answer.once('close', resolve));
  return tokens;
}

const ndjson = 'application/x-ndjson';
const events = 'text/event-stream';

test('records are counted as they come, in the form of each path', async () => {
  const line = '{"response":"x"}\n';
  assert.deepEqual(await tokensOf('/api/generate', ndjson, [line, line + line, line]), [1, 3, 4, 4]);
  assert.deepEqual(await tokensOf('/api/chat', `${ndjson}; charset=utf-8`, [line, line]), [1, 2, 2]);
  const data = 'data: {"choices":[]}\n\n';
  assert.deepEqual(await tokensOf('/v1/chat/completions', events, [data, data, 'data: [DONE]\n\n']), [1, 2, 2, 2]);
  assert.deepEqual(await tokensOf('/v1/completions', events, [data]), [1, 1]);
  const delta = (type: string) => `event: ${type}\ndata: {"type":"${type}"}\n\n`;
  const message = ['message_start', 'content_block_start', 'content_block_delta', 'content_block_delta'].map(delta);
  assert.deepEqual(await tokensOf('/v1/messages', events, message), [0, 0, 1, 2, 2]);
  const response = ['response.created', 'response.output_text.delta', 'response.output_text.done'].map(delta);
  assert.deepEqual(await tokensOf('/v1/responses', events, response), [0, 1, 1, 1]);
});

test("Ollama's own number decides at the end", async () => {
  const last = '{"done":true,"prompt_eval_count":26,"eval_count":290,"eval_duration":4709213000}\n';
  assert.deepEqual(await tokensOf('/api/generate', ndjson, ['{"response":"x"}\n', last]), [1, 2, 290]);
  const usage = 'data: {"usage":{"prompt_tokens":0,"completion_tokens":0}}\n\n';
  const total = 'data: {"usage":{"prompt_tokens":7,"completion_tokens":12,"total_tokens":19}}\n\n';
  assert.deepEqual(await tokensOf('/v1/completions', events, [usage, total]), [1, 2, 12]);
  // A stream that broke off has nothing but the placeholder.
  assert.deepEqual(await tokensOf('/v1/completions', events, [usage, usage]), [1, 2, 2]);
  const delta = 'event: message_delta\ndata: {"usage":{"input_tokens":3,"output_tokens": 5}}\n\n';
  assert.deepEqual(await tokensOf('/v1/messages', events, [delta]), [0, 5]);
});

test('what a model writes is not taken for the number', async () => {
  const line = `${JSON.stringify({ response: '"eval_count":99' })}\n`;
  assert.deepEqual(await tokensOf('/api/generate', ndjson, [line]), [1, 1]);
});

test('an answer that is one JSON counts by its number alone', async () => {
  const whole = ['{"response":"\\n', '{x', '{","prompt_eval_count":3,', '"eval_count":17}'];
  assert.deepEqual(await tokensOf('/api/generate', 'application/json', whole), [0, 0, 0, 0, 17]);
});

test('errors, embeddings and pulls are not counted', async () => {
  const line = '{"status":"pulling"}\n';
  assert.deepEqual(await tokensOf('/api/pull', ndjson, [line]), []);
  assert.deepEqual(await tokensOf('/api/embed', 'application/json', ['{"eval_count":5}']), []);
  assert.deepEqual(await tokensOf('/api/generate', ndjson, [line], 500), []);
});

test('wherever the answer is cut, the count is that of the whole', () => {
  const alphabet = fc.constantFrom('\n', '{', 'data: ', 'd', 'data: {', '\ndata: {', '\n\n', 'x'.repeat(20), '"');
  fc.assert(
    fc.property(
      fc.array(alphabet, { maxLength: 60 }),
      pieces,
      fc.constantFrom('\n{', '\ndata: {'),
      (parts, sizes, record) => {
        const text = parts.join('');
        const counter = new TokenCounter(Buffer.from(record));
        for (const chunk of inPieces(Buffer.from(text), sizes)) counter.write(chunk);
        assert.equal(counter.tokens, `\n${text}`.split(record).length - 1);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('the number is found in the last 4 KiB, in whatever pieces they came, and not before them', () => {
  const number = '"eval_count":41';
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 9_000 }),
      fc.integer({ min: 0, max: 4_200 }),
      fc.integer({ min: 1, max: 5_000 }),
      (before, after, size) => {
        const bytes = Buffer.from(`${'a'.repeat(before)}${number},${'b'.repeat(after)}`);
        const counter = new TokenCounter(undefined);
        for (const chunk of inPieces(bytes, [size])) counter.write(chunk);
        counter.end();
        // The comma ends the number and takes a byte.
        assert.equal(counter.tokens, after + 1 + number.length <= 4_096 ? 41 : 0);
      },
    ),
  );
});
