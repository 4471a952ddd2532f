import { type Answer, answerText, planAnswer, unixSeconds } from './answer.ts';
import { type Call, PLAIN_JSON, readJson } from './call.ts';
import { deliver, type Form, findGenerator, SSE, sse } from './deliver.ts';
import { type Fields, flagOf, numberOf, textOf } from './fields.ts';

const STREAM_HEADERS = { 'Content-Type': SSE, 'Cache-Control': 'no-cache', Connection: 'keep-alive' };

/** Where the only content part of the only output item is. */
const PART_AT = { output_index: 0, content_index: 0 };

/** `POST /v1/responses` */
export async function responses(call: Call): Promise<void> {
  const body = await readJson(call);
  const name = textOf(body, 'model');
  const model = findGenerator(call, name, 'chat');
  const prompt = [textOf(body, 'instructions'), body.input];
  const answer = planAnswer(name, prompt, call.demo.tokens, numberOf(body, 'max_output_tokens'));
  await deliver(call, answer, responseForm(answer, body), { model, stream: flagOf(body, 'stream') ?? false });
}

function responseForm(answer: Answer, body: Fields): Form {
  const id = `resp_${randomId()}`;
  const itemId = `msg_${randomId()}`;
  const createdAt = unixSeconds();
  let sequence = 0;

  const event = (type: string, data: object): string => sse({ ...data, type, sequence_number: sequence++ }, type);
  const atPart = (data: object): object => ({ item_id: itemId, ...PART_AT, ...data });
  const response = (state: ResponseState): object => responseOf(id, createdAt, answer, body, state);
  const inProgress = (): object => response({ status: 'in_progress', output: [], usage: null, completed_at: null });
  const completed = (text: string): object =>
    response({
      status: 'completed',
      output: [itemOf(itemId, text)],
      usage: usageOf(answer),
      completed_at: unixSeconds(),
    });

  const opening = (): string =>
    event('response.created', { response: inProgress() }) + event('response.in_progress', { response: inProgress() });
  const itemOpening = (): string => {
    const item = { id: itemId, type: 'message', status: 'in_progress', role: 'assistant', content: [] };
    return (
      event('response.output_item.added', { output_index: 0, item }) +
      event('response.content_part.added', atPart({ part: partOf('') }))
    );
  };
  const closing = (text: string): string =>
    event('response.output_text.done', atPart({ text, logprobs: [] })) +
    event('response.content_part.done', atPart({ part: partOf(text) })) +
    event('response.output_item.done', { output_index: 0, item: itemOf(itemId, text) });

  return {
    streamHeaders: STREAM_HEADERS,
    token: (delta, index) =>
      (index === 0 ? opening() + itemOpening() : '') +
      event('response.output_text.delta', atPart({ delta, logprobs: [] })),
    end: () => {
      const text = answerText(answer);
      const before = answer.tokens === 0 ? opening() + itemOpening() : '';
      return before + closing(text) + event('response.completed', { response: completed(text) });
    },
    wholeType: PLAIN_JSON,
    whole: completed,
  };
}

interface ResponseState {
  readonly status: 'in_progress' | 'completed';
  readonly output: readonly object[];
  readonly usage: object | null;
  readonly completed_at: number | null;
}

function responseOf(id: string, createdAt: number, answer: Answer, body: Fields, state: ResponseState): object {
  return {
    id,
    object: 'response',
    created_at: createdAt,
    ...state,
    incomplete_details: null,
    model: answer.model,
    previous_response_id: null,
    instructions: textOf(body, 'instructions') || null,
    error: null,
    tools: body.tools ?? [],
    tool_choice: 'auto',
    truncation: body.truncation ?? 'disabled',
    parallel_tool_calls: true,
    text: { format: { type: 'text' } },
    top_p: body.top_p ?? 1,
    presence_penalty: 0,
    frequency_penalty: 0,
    top_logprobs: 0,
    temperature: body.temperature ?? 1,
    reasoning: null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: null,
    store: false,
    background: false,
    service_tier: 'default',
    metadata: {},
    safety_identifier: null,
    prompt_cache_key: null,
  };
}

function itemOf(id: string, text: string): object {
  return { id, type: 'message', status: 'completed', role: 'assistant', content: [partOf(text)] };
}

function partOf(text: string): object {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

function usageOf(answer: Answer): object {
  return {
    input_tokens: answer.promptTokens,
    output_tokens: answer.tokens,
    total_tokens: answer.promptTokens + answer.tokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens_details: { reasoning_tokens: 0 },
  };
}

function randomId(): number {
  return Math.floor(Math.random() * 999_999);
}
