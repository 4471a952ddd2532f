import { randomBytes } from 'node:crypto';
import { type Answer, planAnswer } from './answer.ts';
import { type Call, PLAIN_JSON, readJson } from './call.ts';
import { deliver, type Form, findGenerator, SSE, sse } from './deliver.ts';
import { flagOf, listOf, numberOf, textOf } from './fields.ts';
import { Refusal } from './refusal.ts';

const STREAM_HEADERS = { 'Content-Type': SSE, 'Cache-Control': 'no-cache', Connection: 'keep-alive' };

/** `POST /v1/messages` */
export async function messages(call: Call): Promise<void> {
  const body = await readJson(call);
  const name = textOf(body, 'model');
  if (name === '') throw new Refusal(400, 'model is required');
  const limit = numberOf(body, 'max_tokens') ?? 0;
  if (limit <= 0) throw new Refusal(400, 'max_tokens is required and must be positive');
  const conversation = listOf(body, 'messages');
  if (conversation.length === 0) throw new Refusal(400, 'messages is required');
  const model = findGenerator(call, name, 'chat');
  const answer = planAnswer(name, [body.system, conversation], call.demo.tokens, limit);
  await deliver(call, answer, messageForm(answer), { model, stream: flagOf(body, 'stream') ?? false });
}

function messageForm(answer: Answer): Form {
  const id = `msg_${randomBytes(12).toString('hex')}`;
  const stopReason = answer.doneReason === 'length' ? 'max_tokens' : 'end_turn';
  const message = { id, type: 'message', role: 'assistant', model: answer.model };
  return {
    streamHeaders: STREAM_HEADERS,
    token: (text, index) => (index === 0 ? start(message, answer) + blockStart() : '') + blockDelta(text),
    end: () =>
      (answer.tokens === 0 ? start(message, answer) : event({ type: 'content_block_stop', index: 0 })) +
      event({ type: 'message_delta', delta: { stop_reason: stopReason }, usage: usageOf(answer, answer.tokens) }) +
      event({ type: 'message_stop' }),
    wholeType: PLAIN_JSON,
    whole: (text) => ({
      ...message,
      content: text === '' ? null : [{ type: 'text', text }],
      stop_reason: stopReason,
      usage: usageOf(answer, answer.tokens),
    }),
  };
}

/** `message_start` counts no output yet; its input is an estimate in Ollama. */
function start(message: object, answer: Answer): string {
  return event({ type: 'message_start', message: { ...message, content: [], usage: usageOf(answer, 0) } });
}

function blockStart(): string {
  return event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } });
}

function blockDelta(text: string): string {
  return event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } });
}

function usageOf(answer: Answer, outputTokens: number): object {
  return { input_tokens: answer.promptTokens, output_tokens: outputTokens };
}

function event(data: { readonly type: string; readonly [member: string]: unknown }): string {
  return sse(data, data.type);
}
