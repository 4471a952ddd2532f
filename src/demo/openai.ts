import { type Answer, embeddingOf, planAnswer, unixSeconds } from './answer.ts';
import { type Call, PLAIN_JSON, readBody, readJson, send, sendJson } from './call.ts';
import type { Model } from './catalogue.ts';
import { deliver, type Form, findGenerator, SSE, sse } from './deliver.ts';
import { type Fields, fieldsOf, flagOf, listOf, numberOf, textOf } from './fields.ts';
import { parseModelName } from './modelName.ts';
import { dimensionsOf, findEmbedder, inputOf, tokensOfInput } from './native.ts';
import { Refusal } from './refusal.ts';

const DONE = 'data: [DONE]\n\n';
const STREAM_HEADERS = { 'Content-Type': SSE };

/** `POST /v1/chat/completions` */
export async function chatCompletions(call: Call): Promise<void> {
  const body = await readJson(call);
  const messages = listOf(body, 'messages');
  if (messages.length === 0) throw new Refusal(400, "[] is too short - 'messages'");
  const name = textOf(body, 'model');
  const model = findGenerator(call, name, 'chat');
  const answer = planAnswer(name, messages, call.demo.tokens, numberOf(body, 'max_tokens'));
  const stream = flagOf(body, 'stream') ?? false;
  await deliver(call, answer, chatForm(answer, wantsUsage(body)), { model, stream });
}

/** `POST /v1/completions`. Without a prompt it loads the model and says nothing. */
export async function completions(call: Call): Promise<void> {
  const body = await readJson(call);
  const name = textOf(body, 'model');
  const model = findGenerator(call, name, 'generate');
  const prompt = textOf(body, 'prompt');
  const planned = planAnswer(name, prompt, call.demo.tokens, numberOf(body, 'max_tokens'));
  const answer: Answer = prompt === '' ? { ...planned, tokens: 0, promptTokens: 0, doneReason: 'load' } : planned;
  const stream = flagOf(body, 'stream') ?? false;
  await deliver(call, answer, completionForm(answer, wantsUsage(body)), { model, stream });
}

/** `POST /v1/embeddings` */
export async function embeddings(call: Call): Promise<void> {
  const body = await readJson(call);
  const encoding = textOf(body, 'encoding_format').toLowerCase();
  if (!['', 'float', 'base64'].includes(encoding)) {
    throw new Refusal(400, `Invalid value for 'encoding_format' = ${encoding}. Supported values: ['float', 'base64'].`);
  }
  const input = body.input === '' ? [''] : inputOf(body);
  if (input.length === 0) throw new Refusal(400, 'invalid input');
  const name = textOf(body, 'model');
  call.demo.catalogue.load(findEmbedder(call, name));
  const vectors = input.map((text) => embeddingOf(text, dimensionsOf(body)));
  const tokens = tokensOfInput(input);
  const data = vectors.map((vector, index) => ({
    object: 'embedding',
    embedding: encoding === 'base64' ? base64Of(vector) : vector,
    index,
  }));
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  sendJson(call.res, { object: 'list', data, model: name, usage }, PLAIN_JSON);
}

/** `GET /v1/models`. As in Ollama, an empty list is null. */
export function models({ demo, res }: Call): void {
  const data = demo.catalogue.models.map((model) => modelOf(model, model.name));
  sendJson(res, { object: 'list', data: data.length === 0 ? null : data }, PLAIN_JSON);
}

/** `GET /v1/models/:model`: the id is what was asked for. */
export function model(call: Call): void {
  const found = call.demo.catalogue.find(call.param, (_, display) => `model '${display}' not found`);
  sendJson(call.res, modelOf(found, call.param), PLAIN_JSON);
}

/**
 * `POST /v1/audio/transcriptions`. Ollama reads fields with Go's `FormValue`, which takes the query string *before* a
 * multipart field: `?model=x` wins over the form.
 */
export async function transcriptions(call: Call): Promise<void> {
  const form = await formOf(call);
  const query = new URLSearchParams(call.query);
  const value = (name: string): string => query.get(name) ?? stringIn(form, name);
  const name = value('model');
  if (name === '') throw new Refusal(400, 'model is required');
  const file = form.get('file');
  if (!(file instanceof Blob)) throw new Refusal(400, 'file is required: http: no such file');
  if (file.size === 0) throw new Refusal(400, 'audio file is empty');
  const model = findGenerator(call, name, 'chat');
  const answer = planAnswer(name, '', call.demo.tokens, undefined);
  const plain = value('response_format') === 'text';
  call.demo.catalogue.load(model);
  if (!(await call.demo.pacer.wait(call.res, answer.tokens))) return;
  const text = transcriptOf(file);
  if (plain) send(call.res, 200, 'text/plain', text);
  else sendJson(call.res, { text }, PLAIN_JSON);
}

function transcriptOf(audio: Blob): string {
  return `[demo] ${audio.size} bytes of audio arrived; no model listened to them.`;
}

async function formOf(call: Call): Promise<FormData> {
  const body = new Uint8Array(await readBody(call.req));
  try {
    return await new Response(body, { headers: { 'Content-Type': call.req.headers['content-type'] ?? '' } }).formData();
  } catch (cause) {
    throw new Refusal(400, `failed to parse multipart form: ${cause instanceof Error ? cause.message : 'unreadable'}`);
  }
}

function stringIn(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value : '';
}

function chatForm(answer: Answer, includeUsage: boolean): Form {
  const id = idOf('chatcmpl');
  const created = unixSeconds();
  const head = (object: string): object => ({
    id,
    object,
    created,
    model: answer.model,
    system_fingerprint: 'fp_ollama',
  });
  const chunk = (delta: object, finish: string | null): string =>
    sse({ ...head('chat.completion.chunk'), choices: [{ index: 0, delta, finish_reason: finish }] });
  const usageChunk = (): string => sse({ ...head('chat.completion.chunk'), choices: [], usage: usageOf(answer) });
  return {
    streamHeaders: STREAM_HEADERS,
    token: (content, index) => chunk(index === 0 ? { role: 'assistant', content } : { content }, null),
    end: () => chunk({}, answer.doneReason) + (includeUsage ? usageChunk() : '') + DONE,
    wholeType: PLAIN_JSON,
    whole: (content) => ({
      ...head('chat.completion'),
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: answer.doneReason }],
      usage: usageOf(answer),
    }),
  };
}

/** Unlike chat, Ollama puts a `usage` of zeros into every chunk here when usage is asked for. */
function completionForm(answer: Answer, includeUsage: boolean): Form {
  const id = idOf('cmpl');
  const body = (choices: readonly object[]): object => ({
    id,
    object: 'text_completion',
    created: unixSeconds(),
    choices,
    model: answer.model,
    system_fingerprint: 'fp_ollama',
  });
  const choice = (text: string, finish: string | null): object => ({ text, index: 0, finish_reason: finish });
  const noUsage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  const chunk = (choices: readonly object[], usage: object): string =>
    sse({ ...body(choices), ...(includeUsage ? { usage } : {}) });
  return {
    streamHeaders: STREAM_HEADERS,
    token: (text) => chunk([choice(text, null)], noUsage),
    end: () =>
      chunk([choice('', answer.doneReason)], noUsage) + (includeUsage ? chunk([], usageOf(answer)) : '') + DONE,
    wholeType: PLAIN_JSON,
    whole: (text) => ({ ...body([choice(text, answer.doneReason)]), usage: usageOf(answer) }),
  };
}

function wantsUsage(body: Fields): boolean {
  return flagOf(fieldsOf(body.stream_options), 'include_usage') ?? false;
}

function usageOf(answer: Answer): object {
  return {
    prompt_tokens: answer.promptTokens,
    completion_tokens: answer.tokens,
    total_tokens: answer.promptTokens + answer.tokens,
  };
}

function modelOf(model: Model, id: string): object {
  const owner = parseModelName(model.name)?.key.split('/').at(-2);
  return { id, object: 'model', created: Math.floor(model.modifiedAt.getTime() / 1_000), owned_by: owner };
}

function base64Of(vector: readonly number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString('base64');
}

/** As short as Ollama makes them, so not unique either. */
function idOf(prefix: string): string {
  return `${prefix}-${Math.floor(Math.random() * 999)}`;
}
