import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import OpenAI from 'openai';
import type { DemoOllama } from '../../../src/demo/demoOllama.ts';
import { demoFor, eventsOf, post } from './support.ts';

const MESSAGES = [{ role: 'user', content: 'hello' }] as const;

function clientOf(demo: DemoOllama): OpenAI {
  return new OpenAI({ baseURL: `${demo.url}/v1`, apiKey: 'unused', maxRetries: 0 });
}

test('chat completions do not stream unless asked to', async (t) => {
  const demo = await demoFor(t, { tokens: 4 });
  const answer = await clientOf(demo).chat.completions.create({ model: 'demo', messages: [...MESSAGES] });
  assert.match(answer.choices[0]?.message.content ?? '', /demo/);
  assert.partialDeepStrictEqual(answer, { object: 'chat.completion', usage: { completion_tokens: 4 } });
});

test('a chat stream carries usage only when asked, in a chunk without choices before [DONE]', async (t) => {
  const demo = await demoFor(t, { tokens: 4 });
  const asked = { model: 'demo', messages: [...MESSAGES], stream: true as const };
  let text = '';
  for await (const chunk of await clientOf(demo).chat.completions.create(asked)) {
    text += chunk.choices[0]?.delta.content ?? '';
    assert.equal(chunk.usage, undefined);
  }
  assert.match(text, /demo/);

  const { type, text: body } = await post(demo, '/v1/chat/completions', {
    ...asked,
    stream_options: { include_usage: true },
  });
  assert.equal(type, 'text/event-stream');
  const events = eventsOf(body);
  assert.equal(events.length, 4 + 3);
  assert.equal(events.at(-1), '[DONE]');
  const usage = JSON.parse(events.at(-2) ?? '');
  assert.deepEqual(usage.choices, []);
  assert.equal(usage.usage.total_tokens, usage.usage.prompt_tokens + 4);
  assert.equal(JSON.parse(events.at(-3) ?? '').choices[0].finish_reason, 'stop');
});

test('a completion stream puts a usage of zeros into every chunk but the one without choices', async (t) => {
  const demo = await demoFor(t, { tokens: 2 });
  const { text } = await post(demo, '/v1/completions', {
    model: 'demo',
    prompt: 'hello',
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = eventsOf(text)
    .slice(0, -1)
    .map((data) => JSON.parse(data));
  assert.deepEqual(
    chunks.map(({ choices, usage }) => [choices.length, usage.completion_tokens]),
    [
      [1, 0],
      [1, 0],
      [1, 0],
      [0, 2],
    ],
  );
});

test('the openai client completes, streaming and not', async (t) => {
  const demo = await demoFor(t, { tokens: 4 });
  const whole = await clientOf(demo).completions.create({ model: 'demo', prompt: 'hello' });
  let text = '';
  for await (const chunk of await clientOf(demo).completions.create({ model: 'demo', prompt: 'hello', stream: true })) {
    text += chunk.choices[0]?.text ?? '';
  }
  assert.equal(text, whole.choices[0]?.text);
});

test('max_tokens cuts an answer short', async (t) => {
  const demo = await demoFor(t);
  const asked = { model: 'demo', messages: [...MESSAGES], max_tokens: 2 };
  const answer = await clientOf(demo).chat.completions.create(asked);
  assert.equal(answer.choices[0]?.finish_reason, 'length');
  assert.equal(answer.usage?.completion_tokens, 2);
});

test('embeddings are the same as floats and in base64', async (t) => {
  const demo = await demoFor(t);
  const asked = { model: 'demo-embed', input: ['a', 'b'] };
  const base64 = await clientOf(demo).embeddings.create(asked);
  const floats = await clientOf(demo).embeddings.create({ ...asked, encoding_format: 'float' });
  assert.deepEqual(base64.data, floats.data);
  assert.equal(floats.data.length, 2);
  assert.equal((await post(demo, '/v1/embeddings', { ...asked, encoding_format: 'hex' })).status, 400);
});

test('the openai client lists and retrieves models', async (t) => {
  const demo = await demoFor(t);
  const ids: string[] = [];
  for await (const model of clientOf(demo).models.list()) ids.push(model.id);
  assert.ok(ids.includes('demo:latest'));
  assert.partialDeepStrictEqual(await clientOf(demo).models.retrieve('demo'), { id: 'demo', owned_by: 'library' });
});

test('the openai client streams a response, and takes one whole', async (t) => {
  const demo = await demoFor(t, { tokens: 4 });
  const whole = await clientOf(demo).responses.create({ model: 'demo', input: 'hello' });
  assert.equal(whole.usage?.output_tokens, 4);
  const types: string[] = [];
  let text = '';
  for await (const event of await clientOf(demo).responses.create({ model: 'demo', input: 'hello', stream: true })) {
    assert.equal(event.sequence_number, types.length);
    types.push(event.type);
    if (event.type === 'response.output_text.delta') text += event.delta;
    if (event.type === 'response.completed') assert.equal(event.response.usage?.output_tokens, 4);
  }
  assert.equal(text, whole.output_text);
  assert.deepEqual(types.slice(0, 2), ['response.created', 'response.in_progress']);
  assert.equal(types.at(-1), 'response.completed');
});

test('the openai client transcribes', async (t) => {
  const demo = await demoFor(t, { tokens: 2 });
  const file = new File(['sound'], 'sound.wav');
  const { text } = await clientOf(demo).audio.transcriptions.create({ model: 'demo-audio', file });
  assert.match(text, /demo/);
});

test('as in Go, a model in the query wins over the form of a transcription', async (t) => {
  const demo = await demoFor(t);
  const form = new FormData();
  form.set('model', 'nope');
  form.set('file', new File(['sound'], 'sound.wav'));
  const asked = { method: 'POST', body: form };
  assert.equal((await fetch(`${demo.url}/v1/audio/transcriptions`, asked)).status, 404);
  assert.equal((await fetch(`${demo.url}/v1/audio/transcriptions?model=demo-audio`, asked)).status, 200);
});

test('a transcription without a form, a model or sound is refused', async (t) => {
  const demo = await demoFor(t);
  assert.equal((await post(demo, '/v1/audio/transcriptions', 'x')).status, 400);
  const form = new FormData();
  assert.equal((await fetch(`${demo.url}/v1/audio/transcriptions`, { method: 'POST', body: form })).status, 400);
  form.set('model', 'demo-audio');
  assert.equal((await fetch(`${demo.url}/v1/audio/transcriptions`, { method: 'POST', body: form })).status, 400);
});

test('a /v1 body may be packed with zstd, an /api body may not', async (t) => {
  const demo = await demoFor(t, { tokens: 1 });
  const packed = new Uint8Array(zstdCompressSync(JSON.stringify({ model: 'demo', messages: MESSAGES })));
  const asked = { method: 'POST', body: packed, headers: { 'Content-Encoding': 'zstd' } };
  assert.equal((await fetch(`${demo.url}/v1/chat/completions`, asked)).status, 200);
  assert.equal((await fetch(`${demo.url}/api/chat`, asked)).status, 400);
});

test('a zstd body over 20 MB is refused', async (t) => {
  const demo = await demoFor(t);
  const packed = new Uint8Array(zstdCompressSync(Buffer.alloc(21 * 1_024 * 1_024)));
  const asked = { method: 'POST', body: packed, headers: { 'Content-Encoding': 'zstd' } };
  assert.equal((await fetch(`${demo.url}/v1/chat/completions`, asked)).status, 400);
});

test('errors have the shape of OpenAI', async (t) => {
  const demo = await demoFor(t);
  const { status, text } = await post(demo, '/v1/chat/completions', { model: 'x', messages: MESSAGES });
  assert.equal(status, 404);
  assert.deepEqual(JSON.parse(text), {
    error: { message: "model 'x' not found", type: 'not_found_error', param: null, code: null },
  });
  const empty = await post(demo, '/v1/chat/completions', { model: 'demo', messages: [] });
  assert.equal(JSON.parse(empty.text).error.type, 'invalid_request_error');
});
