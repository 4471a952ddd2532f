import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { type TokenCount, TokenCounter, watchTokens } from '../../../src/guard/usage/tokenCounter.ts';
import { demoFor, post } from '../demo/support.ts';
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
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 9_000 }),
      fc.integer({ min: 0, max: 4_200 }),
      fc.integer({ min: 1, max: 5_000 }),
      (before, after, size) => {
        const number = '"eval_count":41';
        const end = `,"x":"${'b'.repeat(after)}"}`;
        const counter = new TokenCounter(undefined);
        const bytes = Buffer.from(`{"a":"${'a'.repeat(before)}",${number}${end}`);
        for (const chunk of inPieces(bytes, [size])) counter.write(chunk);
        // With the byte before it: a quote at the very beginning of what is kept may be one inside of a string.
        assert.deepEqual(counter.end(), 1 + number.length + end.length <= 4_096 ? { output: 41 } : {});
      },
    ),
    {
      examples: [
        [0, 4_072, 1],
        [0, 4_073, 1],
      ],
    },
  );
});

/** The tokens of a request whose answer came in these pieces, to its end or cut there. */
async function countOf(path: string, type: string, chunks: readonly Buffer[], end: 'whole' | 'cut', statusCode = 200) {
  const answer = new PassThrough();
  Object.assign(answer, { statusCode, headers: { 'content-type': type } });
  const counts: TokenCount[] = [];
  watchTokens(
    path,
    answer as unknown as IncomingMessage,
    () => {},
    (count) => counts.push(count),
  );
  answer.resume();
  for (const chunk of chunks) answer.write(chunk);
  if (end === 'whole') answer.end();
  else setImmediate(() => answer.destroy());
  await new Promise((resolve) => answer.once('close', resolve));
  assert.equal(counts.length, 1, 'the end is told once');
  return counts[0];
}

const text = (...parts: readonly string[]) => parts.map((part) => Buffer.from(part));

test('the end tells the tokens of the prompt and of the answer, in every dialect, as the demo writes them', async (t) => {
  const demo = await demoFor(t, { tokens: 12 });
  const messages = [{ role: 'user', content: 'Why is the sky blue?' }];
  const asked: Readonly<Record<string, object>> = {
    '/api/generate': { prompt: 'Why is the sky blue?' },
    '/api/chat': { messages },
    '/v1/chat/completions': { messages, stream_options: { include_usage: true } },
    '/v1/completions': { prompt: 'Why is the sky blue?', stream_options: { include_usage: true } },
    '/v1/responses': { input: 'Why is the sky blue?', instructions: 'Be brief.' },
    '/v1/messages': { messages, max_tokens: 99 },
  };
  for (const [path, body] of Object.entries(asked)) {
    for (const stream of [true, false]) {
      const answer = await post(demo, path, { model: 'demo', stream, ...body });
      assert.equal(answer.status, 200, answer.text);
      const whole = {
        prompt: numberIn(answer.text, /"(?:prompt_eval_count|prompt_tokens|input_tokens)":(\d+)/g),
        output: 12,
      };
      assert.deepEqual(await countOf(path, answer.type, text(answer.text), 'whole'), whole, `${path} ${stream}`);
      for (const sizes of [[1], [7, 3], [1_000]]) {
        const chunks = inPieces(Buffer.from(answer.text), sizes);
        assert.deepEqual(await countOf(path, answer.type, chunks, 'whole'), whole, `${path} ${stream} in pieces`);
      }
    }
  }
  for (const path of ['/api/embed', '/v1/embeddings']) {
    const answer = await post(demo, path, { model: 'demo-embed', input: ['one two three', 'four'] });
    assert.equal(answer.status, 200, answer.text);
    const prompt = numberIn(answer.text, /"(?:prompt_eval_count|prompt_tokens)":(\d+)/g);
    const chunks = inPieces(Buffer.from(answer.text), [1_000]);
    assert.deepEqual(await countOf(path, answer.type, chunks, 'whole'), { prompt, output: 0 }, path);
    assert.deepEqual(await countOf(path, answer.type, chunks.slice(0, -1), 'cut'), { output: 0 }, path);
  }
});

/** The last number of this form that is not 0. */
function numberIn(written: string, form: RegExp): number {
  const number = [...written.matchAll(form)].map(([, digits]) => Number(digits)).findLast((found) => found > 0);
  assert.ok(number !== undefined);
  return number;
}

test('a stream that is cut anywhere tells what was counted until then', async (t) => {
  const demo = await demoFor(t, { tokens: 40 });
  const messages = [{ role: 'user', content: 'Why is the sky blue?' }];
  const asked: readonly (readonly [path: string, body: object, record: string, number: string])[] = [
    ['/api/chat', { messages }, '\n{', '"eval_count":40'],
    ['/v1/chat/completions', { messages }, '\ndata: {', 'none'],
    ['/v1/messages', { messages, max_tokens: 99 }, '\nevent: content_block_delta', '"output_tokens":40'],
    ['/v1/responses', { input: 'Why?' }, '\nevent: response.output_text.delta', '"output_tokens":40'],
  ];
  for (const [path, body, record, number] of asked) {
    const answer = await post(demo, path, { model: 'demo', stream: true, ...body });
    assert.equal(answer.status, 200, answer.text);
    const bytes = Buffer.from(answer.text);
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), fc.integer({ min: 1, max: 300 }), async (length, size) => {
        const cut = bytes.subarray(0, length);
        const { output } = (await countOf(path, answer.type, inPieces(cut, [size]), 'cut')) ?? {};
        assert.ok(output !== undefined);
        const records = `\n${cut}`.split(record).length - 1;
        const lines = cut.toString().slice(0, cut.lastIndexOf('\n') + 1);
        if (lines.includes(number)) assert.equal(output, 40);
        // Events that carry no text are counted here, in case they carry thoughts.
        else if (path === '/v1/responses')
          assert.ok(output >= records && output <= records + 8, `${output}, ${records}`);
        else assert.equal(output, records);
      }),
      { numRuns: 60 },
    );
  }
});

test('the prompt of /v1/messages is known of a stream that is cut, however long after', async () => {
  const start = `event: message_start\ndata: ${JSON.stringify({
    type: 'message_start',
    message: { id: 'msg_1', model: 'm', content: [], usage: { input_tokens: 25, output_tokens: 0 } },
  })}\n\n`;
  const delta = 'event: content_block_delta\ndata: {"delta":{"text":"x"}}\n\n';
  const long = text(...inPieces(Buffer.from(start), [11]).map(String), ...Array<string>(500).fill(delta));
  assert.deepEqual(await countOf('/v1/messages', events, long, 'cut'), { prompt: 25, output: 500 });
  assert.deepEqual(await countOf('/v1/messages', events, text(start), 'cut'), { prompt: 25, output: 0 });
  // What Ollama says at the end counts.
  const end = 'event: message_delta\ndata: {"usage":{"input_tokens":26,"output_tokens":7}}\n\n';
  assert.deepEqual(await countOf('/v1/messages', events, [...long, ...text(end)], 'whole'), { prompt: 26, output: 7 });
});

test('a stream of /v1/responses that is cut while the model thinks has taken tokens', async () => {
  const thought = (sequence_number: number) =>
    `event: response.reasoning_summary_text.delta\ndata: ${JSON.stringify({ delta: 'x', sequence_number, type: 'x' })}\n\n`;
  const chunks = Array.from({ length: 80 }, (_, i) => Buffer.from(thought(i)));
  assert.deepEqual(await countOf('/v1/responses', events, chunks, 'cut'), { output: 79 });
});

test('nobody is counted for less by what a client or a model writes', async () => {
  const tools = [{ type: 'function', name: 'f', parameters: { usage: { output_tokens: 1 }, eval_count: 1 } }];
  const created = `event: response.created\ndata: ${JSON.stringify({
    response: { output: [], text: { format: { schema: { output_tokens: 1 } } }, tools, usage: null },
    type: 'response.created',
  })}\n\n`;
  const delta = 'event: response.output_text.delta\ndata: {"delta":"x"}\n\n';
  const cut = text(created, delta, delta, delta);
  assert.deepEqual(await countOf('/v1/responses', events, cut, 'cut'), { output: 3 });

  const token = '{"message":{"content":"x"},"done":false}\n';
  const call = `${JSON.stringify({
    message: { tool_calls: [{ function: { arguments: { eval_count: 1, prompt_eval_count: 1 } } }] },
    done: false,
  })}\n`;
  assert.deepEqual(await countOf('/api/chat', ndjson, text(token, token, call), 'cut'), { output: 3 });
  // Cut where an inner object ends.
  const inner = call.slice(0, call.indexOf('}') + 1);
  assert.deepEqual(await countOf('/api/chat', ndjson, text(token, token, inner), 'cut'), { output: 3 });
  assert.deepEqual(await countOf('/api/chat', 'application/json', text(inner), 'cut'), {});
});

test('what Ollama does not say is left to an estimate', async () => {
  const whole = '{"response":"x","prompt_eval_count":3,"eval_count":17}';
  assert.deepEqual(await countOf('/api/generate', 'application/json', text(whole), 'whole'), { prompt: 3, output: 17 });
  assert.deepEqual(await countOf('/api/generate', 'application/json', text(whole.slice(0, -1)), 'cut'), {});
  const logprobs = `{"prompt_eval_count":3,"eval_count":17,"logprobs":"${'x'.repeat(5_000)}"}`;
  assert.deepEqual(await countOf('/api/generate', 'application/json', text(logprobs), 'whole'), {});
  const data = 'data: {"choices":[]}\n\n';
  assert.deepEqual(await countOf('/v1/chat/completions', events, text(data, data), 'whole'), { output: 2 });
  assert.deepEqual(await countOf('/api/embeddings', 'application/json', text('{}'), 'whole'), { output: 0 });
  assert.deepEqual(await countOf('/v1/audio/transcriptions', 'application/json', text('{}'), 'whole'), {});
});

test('an error costs nothing, and neither does what takes no tokens', async () => {
  const line = '{"prompt_eval_count":3,"eval_count":5}\n';
  for (const status of [201, 400, 404, 500, 503]) {
    for (const path of ['/api/chat', '/api/embed', '/v1/messages', '/v1/audio/transcriptions']) {
      assert.deepEqual(await countOf(path, ndjson, text(line), 'whole', status), { prompt: 0, output: 0 });
    }
  }
  assert.deepEqual(await countOf('/api/pull', ndjson, text(line), 'whole'), { prompt: 0, output: 0 });
});
