import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import type { DemoOllama } from '../../../src/demo/demoOllama.ts';
import { demoFor, eventsOf, post } from './support.ts';

const ASKED = { model: 'demo', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hello' }] };

function clientOf(demo: DemoOllama): Anthropic {
  return new Anthropic({ baseURL: demo.url, apiKey: 'unused', maxRetries: 0 });
}

test('the anthropic client takes a message whole', async (t) => {
  const demo = await demoFor(t, { tokens: 4 });
  const message = await clientOf(demo).messages.create(ASKED);
  assert.partialDeepStrictEqual(message, { role: 'assistant', stop_reason: 'end_turn', usage: { output_tokens: 4 } });
  assert.match(message.content[0]?.type === 'text' ? message.content[0].text : '', /demo/);
});

test('the anthropic client puts a streamed message together', async (t) => {
  const demo = await demoFor(t, { tokens: 4 });
  const whole = await clientOf(demo).messages.create(ASKED);
  const streamed = await clientOf(demo).messages.stream(ASKED).finalMessage();
  assert.deepEqual(
    streamed.content.map((block) => (block.type === 'text' ? block.text : '')),
    whole.content.map((block) => (block.type === 'text' ? block.text : '')),
  );
  assert.partialDeepStrictEqual(streamed, { stop_reason: 'end_turn', usage: { output_tokens: 4 } });
});

test('the events of a stream come in order', async (t) => {
  const demo = await demoFor(t, { tokens: 2 });
  const { type, text } = await post(demo, '/v1/messages', { ...ASKED, stream: true });
  assert.equal(type, 'text/event-stream');
  assert.deepEqual(
    eventsOf(text).map((data) => JSON.parse(data).type),
    [
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ],
  );
});

test('max_tokens cuts a message short', async (t) => {
  const demo = await demoFor(t);
  const message = await clientOf(demo).messages.create({ ...ASKED, max_tokens: 1 });
  assert.partialDeepStrictEqual(message, { stop_reason: 'max_tokens', usage: { output_tokens: 1 } });
});

test('errors have the shape of Anthropic', async (t) => {
  const demo = await demoFor(t);
  await assert.rejects(clientOf(demo).messages.create({ ...ASKED, model: 'x' }), Anthropic.NotFoundError);
  const { status, text } = await post(demo, '/v1/messages', { ...ASKED, max_tokens: 0 });
  assert.equal(status, 400);
  assert.partialDeepStrictEqual(JSON.parse(text), {
    type: 'error',
    error: { type: 'invalid_request_error', message: 'max_tokens is required and must be positive' },
  });
});

test('tokens are not counted, as in Ollama', async (t) => {
  const demo = await demoFor(t);
  assert.equal((await post(demo, '/v1/messages/count_tokens', ASKED)).status, 404);
});
