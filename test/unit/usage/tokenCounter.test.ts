import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { type TokenCount, TokenCounter, watchTokens } from '../../../src/guard/usage/tokenCounter.ts';
import { demoFor, post } from '../demo/support.ts';
import { inPieces, pieces } from './pieces.ts';

/** As off a socket: a chunk is not a part of something larger. */
function asItComes(text: string): Buffer {
  const chunk = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  chunk.write(text);
  return chunk;
}

/** The tokens when each chunk had come, and at the end. */
async function tokensOf(
  path: string,
  type: string,
  chunks: readonly string[],
  statusCode = 200,
): Promise<readonly number[]> {
  const answer = new PassThrough();
  Object.assign(answer, { statusCode, headers: { 'content-type': type } });
  const tokens: number[] = [];
  let read = () => 0;
  watchTokens(path, answer as unknown as IncomingMessage, {
    counts: (source) => {
      read = source;
    },
    progresses: () => tokens.push(read()),
  });
  for (const chunk of chunks) answer.write(asItComes(chunk));
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
  // Its 15 bytes are more than one token has on average.
  assert.deepEqual(await tokensOf('/api/generate', ndjson, [line]), [2, 2]);
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

/** How the records of each path begin, where their text does, and how long a line may be around it. */
const forms: Readonly<Record<string, readonly [begin: RegExp, texts: readonly string[], usual: number]>> = {
  '/api/generate': [/^\{/, ['response', 'thinking'], 224],
  '/api/chat': [/^\{/, ['content', 'thinking'], 224],
  '/v1/chat/completions': [/^data: \{/, ['content', 'reasoning'], 320],
  '/v1/completions': [/^data: \{/, ['text'], Number.POSITIVE_INFINITY],
  '/v1/responses': [
    /^event: response\.(output_text|function_call_arguments|reasoning_summary_text)\.delta/,
    ['delta'],
    192,
  ],
  '/v1/messages': [/^event: content_block_delta/, ['text', 'thinking', 'partial_json'], 128],
};

/** Bytes of the first text of each of these names in a line; an escape is one. */
function textBytesOf(line: string, names: readonly string[]): number {
  const lengths = names.map((name) => {
    const [, said = ''] = new RegExp(`"${name}":"((?:\\\\u.{0,4}|\\\\.?|[^"\\\\])*)`).exec(line) ?? [];
    return said.replace(/\\u.{0,4}|\\.?/g, '.').length;
  });
  return lengths.reduce((sum, length) => sum + length, 0);
}

test('in whatever pieces an answer comes, each record counts, and each four bytes beyond a usual line', () => {
  const alphabet = fc.constantFrom(
    ...['\n', '\n\n', '{', 'd', 'data: ', 'data: {', '\ndata: {', '"', 'x', 'x'.repeat(100), 'x'.repeat(330)],
    ...['event: ', '\nevent: content_block_delta\n', '\nevent: content_block_start\n', 'event: response.'],
    ...['output_text.delta\n', 'output_text.done\n', 'function_call_arguments.delta', 'reasoning_summary_text.delta\n'],
    ...['"response":"', '"thinking":"', '"content":"', '"reasoning":"', '"text":"', '"delta":"', '"partial_json":"'],
    ...['\\', '\\"', '\\u003c'],
  );
  fc.assert(
    fc.property(
      fc.array(alphabet, { maxLength: 60 }),
      pieces,
      fc.constantFrom(...Object.entries(forms)),
      (parts, sizes, [path, [begin, texts, usual]]) => {
        const lines = parts.join('').split('\n');
        // A line that is longer than what is kept of it is all beyond, wherever it was cut.
        fc.pre(lines.every((line) => line.length < 4_096));
        const counter = new TokenCounter(path, true);
        for (const chunk of inPieces(Buffer.from(lines.join('\n')), sizes)) counter.write(chunk);
        let records = 0;
        let beyond = 0;
        let said = 0;
        let isModels = false;
        for (const line of lines) {
          if (begin.test(line)) records += 1;
          isModels = begin.test(line) || (isModels && line !== '');
          if (!isModels) continue;
          const bytes = textBytesOf(line, texts);
          said += bytes;
          beyond += Math.max(0, bytes - 24) + Math.max(0, line.length - bytes - usual);
        }
        assert.equal(counter.tokens, Math.max(records + Math.floor(beyond / 4), Math.floor(said / 6)));
      },
    ),
    { numRuns: 10_000 },
  );
});

test('what flows by is left as it is', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 9 }), (sizes) => {
      const counter = new TokenCounter('/api/chat', true);
      const chunks = sizes.map((size, i) => Buffer.from(new Uint8Array(size).fill(i + 32).buffer));
      for (const chunk of chunks) counter.write(chunk);
      chunks.forEach((chunk, i) => {
        assert.ok(chunk.every((byte) => byte === i + 32));
      });
    }),
    { examples: [[[4_096, 1]], [[4_095, 1]], [[10, 4_096, 5]]] },
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
        const counter = new TokenCounter('/api/chat', false);
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
  watchTokens(path, answer as unknown as IncomingMessage, { counts: () => {}, progresses: () => {} }, (count) =>
    counts.push(count),
  );
  answer.resume();
  for (const chunk of chunks) answer.write(chunk);
  if (end === 'whole') answer.end();
  else setImmediate(() => answer.destroy());
  await new Promise((resolve) => answer.once('close', resolve));
  assert.equal(counts.length, 1, 'the end is told once');
  const { silentMs, ...count } = counts[0] ?? {};
  if (silentMs !== undefined) assert.ok(end === 'cut' && silentMs >= 0);
  return count;
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
        // The last record is longer than others: cut in its midst, it may be a tool call as well.
        else assert.ok(output >= records && output <= records + (path === '/api/chat' ? 30 : 0), `${output}`);
      }),
      { numRuns: 60 },
    );
  }
});

test('what Ollama guesses of the prompt of /v1/messages is not taken for a count', async () => {
  const start = `event: message_start\ndata: ${JSON.stringify({
    type: 'message_start',
    message: { id: 'msg_1', model: 'm', content: [], usage: { input_tokens: 25, output_tokens: 0 } },
  })}\n\n`;
  const delta = 'event: content_block_delta\ndata: {"delta":{"text":"x"}}\n\n';
  const long = text(...inPieces(Buffer.from(start), [11]).map(String), ...Array<string>(500).fill(delta));
  assert.deepEqual(await countOf('/v1/messages', events, long, 'cut'), { output: 500 });
  assert.deepEqual(await countOf('/v1/messages', events, text(start), 'cut'), { output: 0 });
  // What Ollama says at the end counts, but for an answer that was longer.
  const end = 'event: message_delta\ndata: {"usage":{"input_tokens":26,"output_tokens":7}}\n\n';
  assert.deepEqual(await countOf('/v1/messages', events, [...long, ...text(end)], 'whole'), {
    prompt: 26,
    output: 500,
  });
});

test('a stream of /v1/responses that is cut while the model thinks has taken tokens', async () => {
  const thought = (sequence_number: number) =>
    `event: response.reasoning_summary_text.delta\ndata: ${JSON.stringify({ delta: 'x', sequence_number, type: 'x' })}\n\n`;
  const chunks = Array.from({ length: 80 }, (_, i) => Buffer.from(thought(i)));
  assert.deepEqual(await countOf('/v1/responses', events, chunks, 'cut'), { output: 80 });
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

test('a refusal costs nothing, and neither does what takes no tokens', async () => {
  const line = '{"prompt_eval_count":3,"eval_count":5}\n';
  for (const status of [201, 400, 404, 499, 503]) {
    for (const path of ['/api/chat', '/api/embed', '/v1/messages', '/v1/audio/transcriptions']) {
      assert.deepEqual(await countOf(path, ndjson, text(line), 'whole', status), { prompt: 0, output: 0 });
    }
  }
  assert.deepEqual(await countOf('/api/pull', ndjson, text(line), 'whole'), { prompt: 0, output: 0 });
});

test('what Ollama did before it failed is left to an estimate', async () => {
  for (const status of [500, 502, 504, 507]) {
    for (const path of ['/api/chat', '/api/embed', '/v1/messages', '/v1/audio/transcriptions']) {
      assert.deepEqual(await countOf(path, ndjson, text('{"error":"x"}'), 'whole', status), {});
    }
  }
});

test('to load a model, or to unload it, takes no tokens', async (t) => {
  const demo = await demoFor(t);
  for (const [path, extra] of [
    ['/api/generate', {}],
    ['/api/chat', {}],
    ['/api/generate', { keep_alive: 0 }],
    ['/api/chat', { keep_alive: 0 }],
  ] as const) {
    const answer = await post(demo, path, { model: 'demo', ...extra });
    assert.match(answer.text, /"done_reason":"(un)?load"/);
    assert.deepEqual(await countOf(path, answer.type, text(answer.text), 'whole'), { prompt: 0, output: 0 });
    assert.deepEqual(await countOf(path, ndjson, text(`${answer.text}\n`), 'whole'), { prompt: 0, output: 0 });
    assert.deepEqual(await countOf(path, answer.type, text(answer.text.slice(0, -1)), 'cut'), {});
  }
  // What a model says, and what it has counted, are not taken for it.
  for (const said of [{ done_reason: 'load' }, '","done_reason":"load"}', '\\","done_reason":"load"}']) {
    const whole = JSON.stringify({
      message: { content: said, tool_calls: [{ done_reason: 'load' }] },
      done_reason: 'stop',
    });
    assert.deepEqual(await countOf('/api/chat', 'application/json', text(whole), 'whole'), {});
  }
  const counted = '{"done_reason":"load","prompt_eval_count":3,"eval_count":5}';
  assert.deepEqual(await countOf('/api/chat', 'application/json', text(counted), 'whole'), { prompt: 3, output: 5 });
});

/** As Ollama's writers order the members. */
const head = (model: string) => `"model":"${model}","created_at":"2026-08-01T12:00:00.123456789Z"`;
const chunkOf = (model: string, choice: string) =>
  `data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1785000000,"model":"${model}",` +
  `"system_fingerprint":"fp_ollama","choices":[{"index":0,${choice}}]}\n\n`;
const eventOf = (type: string, members: string) => `event: ${type}\ndata: {${members}}\n\n`;
const argumentsEvent = 'response.function_call_arguments.delta';

/** The records of a text, as Ollama writes one on each path. */
const recordsOf = (model: string, text: string): readonly (readonly [path: string, type: string, record: string])[] => [
  ['/api/generate', ndjson, `{${head(model)},"response":"","thinking":"${text}","done":false}\n`],
  [
    '/api/chat',
    ndjson,
    `{${head(model)},"message":{"role":"assistant","content":"","thinking":"${text}"},"done":false}\n`,
  ],
  [
    '/v1/chat/completions',
    events,
    chunkOf(model, `"delta":{"role":"assistant","content":"","reasoning":"${text}"},"finish_reason":null`),
  ],
  ['/v1/completions', events, chunkOf(model, `"text":"${text}","finish_reason":null`)],
  [
    '/v1/messages',
    events,
    eventOf(
      'content_block_delta',
      `"type":"content_block_delta","index":10,"delta":{"type":"thinking_delta","thinking":"${text}"}`,
    ),
  ],
  [
    '/v1/responses',
    events,
    eventOf(
      'response.output_text.delta',
      `"content_index":0,"delta":"${text}","item_id":"msg_123456","logprobs":[],"output_index":10,"sequence_number":12345,"type":"response.output_text.delta"`,
    ),
  ],
];

test('a record with one token costs one, however long the names of model and events are', async () => {
  const model = 'hf.co/mradermacher/Llama-3.3-70B-Instruct-abliterated-i1-GGUF:i1-IQ4_XS';
  const others = recordsOf(model, ' a');
  for (const token of [' a', ' unbelievable', '\\u003c\\u003e\\u0026=', '\\"\\\\\\n']) {
    for (const [i, [path, type, record]] of recordsOf(model, token).entries()) {
      const [, , other = ''] = others[i] ?? [];
      const chunks = text(...Array<string>(50).fill(record), ...Array<string>(100).fill(other));
      assert.deepEqual(await countOf(path, type, chunks, 'cut'), { output: 150 }, `${path} ${token}`);
    }
  }
});

// While what it is to `stop` at may have begun, Ollama holds back what the model writes: 31 tokens at most.
test('a record that holds many tokens costs many', async () => {
  for (const [words, least] of [
    [' one two three'.repeat(10), 30],
    [' one two', 1.3],
    ['12345678', 1.3],
  ] as const) {
    for (const [path, type, record] of recordsOf('m', words)) {
      const records = text(...Array<string>(300).fill(record));
      for (const end of ['cut', 'whole'] as const) {
        const { output = 0 } = (await countOf(path, type, records, end)) ?? {};
        assert.ok(output >= 300 * least && output <= 300 * words.length, `${path} ${words}: ${output}`);
      }
    }
  }
});

test('a tool call behind the numbers of the last record costs what it is long', async () => {
  const call = `"tool_calls":[{"function":{"name":"f","arguments":${JSON.stringify({ a: 'x y '.repeat(5_000) })}}}]`;
  const last = `{${head('m')},"response":"","done":true,"total_duration":1,"prompt_eval_count":50,"eval_count":8000,${call}}\n`;
  const { output = 0 } = (await countOf('/api/generate', ndjson, text(last), 'whole')) ?? {};
  assert.ok(output > 4_900, `${output}`);
});

test('an answer that was written twice costs what came, though the numbers are those of the second time', async () => {
  const [, [path = '', type = '', thought = ''] = []] = recordsOf('m', ' t');
  const end = `{${head('m')},"message":{"role":"assistant","content":""},"done":true,"prompt_eval_count":12,"eval_count":2}\n`;
  const records = text(...Array<string>(5_000).fill(thought), end);
  assert.deepEqual(await countOf(path, type, records, 'whole'), { prompt: 12, output: 5_000 });
});

/** A tool call of about 8,000 tokens. */
const long = JSON.stringify({ code: 'let x = y; '.repeat(2_910) });
const escaped = JSON.stringify(long);

test('a tool call that comes as one record costs what it is long', async () => {
  const data = chunkOf('m', '"delta":{"content":" a"},"finish_reason":null');
  const delta = (part: string) => eventOf('content_block_delta', `"type":"content_block_delta","delta":{${part}}`);
  const calls: readonly (readonly [path: string, type: string, token: string, call: string])[] = [
    [
      '/api/chat',
      ndjson,
      `{${head('m')},"message":{"role":"assistant","content":" a"},"done":false}\n`,
      `{${head('m')},"message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":${long}}}]},"done":false}\n`,
    ],
    [
      '/v1/chat/completions',
      events,
      data,
      chunkOf(
        'm',
        `"delta":{"content":"","tool_calls":[{"id":"call_1","index":0,"type":"function","function":{"name":"f","arguments":${escaped}}}]},"finish_reason":null`,
      ),
    ],
    [
      '/v1/messages',
      events,
      delta('"type":"text_delta","text":" a"'),
      delta(`"type":"input_json_delta","partial_json":${escaped}`),
    ],
    [
      '/v1/responses',
      events,
      eventOf('response.output_text.delta', '"delta":" a"'),
      eventOf(argumentsEvent, `"delta":${escaped},"type":"${argumentsEvent}"`),
    ],
  ];
  for (const [path, type, token, call] of calls) {
    const tokens = Array<string>(90).fill(token);
    for (const size of [7, 1_000, 100_000]) {
      const chunks = inPieces(Buffer.from([...tokens, call].join('')), [size]);
      const { output = 0 } = (await countOf(path, type, chunks, 'cut')) ?? {};
      assert.ok(output > 8_000 && output < 8_400, `${path}: ${output}`);
    }
    const [half = ''] = call.split('let', 1);
    const cut = text(...tokens, call.slice(0, half.length + call.length / 2));
    const { output = 0 } = (await countOf(path, type, cut, 'cut')) ?? {};
    assert.ok(output > 4_000 && output < 4_300, `${path}, cut within: ${output}`);
  }
  const [path, type, token, call] = calls[1] ?? assert.fail();
  const whole = text(...Array<string>(90).fill(token), call, 'data: [DONE]\n\n');
  const { output = 0 } = (await countOf(path, type, whole, 'whole')) ?? {};
  assert.ok(output > 8_000 && output < 8_400, `${output}`);
});

test('what Ollama repeats of the request, or of the answer, is not what the model writes', async () => {
  const repeated = (type: string) => eventOf(type, `"text":${escaped},"type":"${type}"`);
  const delta = eventOf('response.output_text.delta', '"delta":" a"');
  const types = ['created', 'in_progress', 'output_text.done', 'function_call_arguments.done', 'output_item.done'];
  const around = types.map((type) => repeated(`response.${type}`));
  assert.deepEqual(await countOf('/v1/responses', events, text(...around, delta, ...around), 'cut'), { output: 1 });
  const start = repeated('content_block_start');
  assert.deepEqual(await countOf('/v1/messages', events, text(start, start), 'cut'), { output: 0 });
});

test('how likely a token was costs nothing, and a tool call among such tokens does', async () => {
  const other = '{"token":" a","logprob":-0.123456789,"bytes":[32,97]}';
  const likely = `{"token":" a","logprob":-0.1,"bytes":[32,97],"top_logprobs":[${Array(20).fill(other).join()}]}`;
  const streams: readonly (readonly [path: string, type: string, token: string, call: string])[] = [
    [
      '/api/chat',
      ndjson,
      `{${head('m')},"message":{"role":"assistant","content":" a"},"done":false,"logprobs":[${likely}]}\n`,
      `{${head('m')},"message":{"role":"assistant","content":"","tool_calls":[{"function":{"arguments":{"logprobs":[{"x":${escaped}}]}}}]},"done":false}\n`,
    ],
    [
      '/v1/chat/completions',
      events,
      chunkOf('m', `"delta":{"content":" a"},"finish_reason":null,"logprobs":{"content":[${likely}]}`),
      chunkOf('m', `"delta":{"content":"","tool_calls":[{"function":{"arguments":${escaped}}}]},"finish_reason":null`),
    ],
  ];
  for (const [path, type, token, call] of streams) {
    for (const size of [1, 7, 1_000, 100_000]) {
      const tokens = token.repeat(40);
      const plain = inPieces(Buffer.from(tokens), [size]);
      assert.deepEqual(await countOf(path, type, plain, 'cut'), { output: 40 }, `${path} ${size}`);
      const cut = inPieces(Buffer.from(tokens + token.slice(0, 900)), [size]);
      assert.deepEqual(await countOf(path, type, cut, 'cut'), { output: 41 }, `${path} ${size}, cut within`);
      const called = inPieces(Buffer.from(tokens + call), [size]);
      const { output = 0 } = (await countOf(path, type, called, 'cut')) ?? {};
      assert.ok(output > 8_000 && output < 8_400, `${path} ${size}: ${output}`);
    }
  }
  const legacy = chunkOf('m', `"text":" a","finish_reason":null,"logprobs":{"content":[${likely}]}`);
  assert.deepEqual(await countOf('/v1/completions', events, text(legacy, legacy), 'cut'), { output: 2 });
});

test("the numbers of one JSON of /api/generate are found before its probabilities, and are nothing but Ollama's", () => {
  const forged = ',"total_duration":1,"load_duration":1,"prompt_eval_count":1,"prompt_eval_duration":1,"eval_count":1}';
  const said = fc.array(fc.constantFrom(forged, '"', '\\', 'x', 'word '.repeat(300), '{', '\n'), { maxLength: 9 });
  fc.assert(
    fc.property(
      said,
      fc.nat(9_000),
      fc.nat(300),
      fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 999_999_999 }),
      fc.boolean(),
      (words, context, logprobs, sizes, output, isWhole) => {
        const answer = {
          response: words.join(''),
          done_reason: 'stop',
          context: Array(context).fill(7),
          total_duration: 4_883_583_458,
          load_duration: 1_334_875,
          prompt_eval_count: 26,
          prompt_eval_duration: 342_546_000,
          eval_count: output,
          eval_duration: 4_535_599_000,
          tool_calls: [{ function: { arguments: { a: 1, total_duration: 1, eval_count: 1 } } }],
          logprobs: Array(logprobs).fill({ token: forged, logprob: -1, bytes: [1, 2] }),
        };
        const counter = new TokenCounter('/api/generate', false);
        for (const chunk of inPieces(Buffer.from(JSON.stringify(answer)), sizes)) counter.write(chunk);
        const count = counter.end(isWhole);
        // Cut, they are known when they have left the tail.
        if (isWhole || count.output !== undefined) assert.deepEqual(count, { prompt: 26, output });
      },
    ),
    { numRuns: 500 },
  );
  // Without Ollama's, a tool call's are not taken for them.
  const none = {
    response: 'x',
    tool_calls: [{ a: 1, total_duration: 1, x: 1, eval_count: 1 }],
    logprobs: 'x'.repeat(9_000),
  };
  const counter = new TokenCounter('/api/generate', false);
  counter.write(Buffer.from(JSON.stringify(none)));
  assert.deepEqual(counter.end(), {});
});

test('a stream that is cut tells how long nothing had come', () => {
  let time = 5_000;
  const counted = (end: 'whole' | 'cut', ...records: readonly string[]) => {
    const counter = new TokenCounter('/api/chat', true, () => time);
    for (const record of records) {
      time += 300;
      counter.write(Buffer.from(record));
    }
    time += 70;
    return counter.end(end === 'whole');
  };
  const token = '{"message":{"content":"x"},"done":false}\n';
  assert.deepEqual(counted('cut', token, token), { output: 2, silentMs: 70 });
  assert.deepEqual(counted('whole', token, token), { output: 2 });
  assert.deepEqual(counted('cut', token, '{"prompt_eval_count":3,"eval_count":5}\n'), { prompt: 3, output: 5 });
  assert.deepEqual(counted('cut'), { output: 0 });
});

test('whenever its tokens are asked for, a stream comes to the same', async (t) => {
  const demo = await demoFor(t, { tokens: 30 });
  const messages = [{ role: 'user', content: 'Why is the sky blue?' }];
  for (const path of ['/api/generate', '/v1/chat/completions', '/v1/messages', '/v1/responses']) {
    const body = {
      model: 'demo',
      prompt: 'Why?',
      input: 'Why?',
      messages,
      max_tokens: 99,
      stream: true,
      stream_options: { include_usage: true },
    };
    const { text } = await post(demo, path, body);
    const lines = (text.match(/[^\n]*\n/g) ?? []).map(asItComes);
    assert.ok(lines.length > 30);
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }), fc.nat(lines.length), (asks, length) => {
        const [asked, unasked] = [new TokenCounter(path, true), new TokenCounter(path, true)];
        let last = 0;
        lines.slice(0, length).forEach((line, i) => {
          asked.write(line);
          unasked.write(line);
          if (asks[i % asks.length] !== true) return;
          assert.ok(asked.tokens >= last);
          last = asked.tokens;
        });
        const whole = length === lines.length;
        const { silentMs: _, ...count } = unasked.end(whole);
        const { silentMs: __, ...other } = asked.end(whole);
        assert.deepEqual(count, other);
      }),
    );
  }
});
