import {
  type Answer,
  countTokens,
  type DoneReason,
  embeddingOf,
  metricsOf,
  nanosecondsSince,
  planAnswer,
  timestamp,
} from './answer.ts';
import { type Call, NATIVE_JSON, NDJSON, readJson, send, sendJson } from './call.ts';
import { CONTEXT_LENGTH, detailsOf, EMBEDDING_LENGTH, type Model } from './catalogue.ts';
import { deliver, type Form, findGenerator } from './deliver.ts';
import { type Fields, fieldsOf, flagOf, keepAliveOf, listOf, numberOf, textOf } from './fields.ts';
import { Refusal } from './refusal.ts';

/** What `/api/version` says: no version that a client could take for a real Ollama. */
export const DEMO_VERSION = '0.0.0-demo';

const STREAM_HEADERS = { 'Content-Type': NDJSON };

/** `GET /` */
export function root({ res }: Call): void {
  send(res, 200, 'text/plain; charset=utf-8', 'Ollama is running');
}

/** `GET /api/version` */
export function version({ demo, res }: Call): void {
  sendJson(res, { version: demo.version });
}

/** `GET /api/status` */
export function status({ demo, res }: Call): void {
  const disabled = demo.account === undefined;
  sendJson(res, { cloud: { disabled, source: disabled ? 'env' : 'none' } });
}

/** `POST /api/me`. Ollama asks ollama.com; the demo makes its owner up, or is as good as offline. */
export function me({ demo, res }: Call): void {
  if (demo.account === undefined) throw new Refusal(503, 'account unavailable');
  if (demo.account === 'signed-in') {
    sendJson(res, { id: 'demo-owner', email: 'owner@demo.invalid', name: 'demo-owner', plan: 'free' });
  } else {
    const body = { error: 'unauthorized', signin_url: 'https://demo.invalid/connect' };
    send(res, 401, NATIVE_JSON, JSON.stringify(body));
  }
}

/** `GET /api/tags` */
export function tags({ demo, res }: Call): void {
  send(res, 200, NATIVE_JSON, demo.catalogue.tags);
}

/** `GET /api/ps` */
export function ps({ demo, res }: Call): void {
  sendJson(res, demo.catalogue.running());
}

/** `POST /api/show` */
export async function show(call: Call): Promise<void> {
  const body = await readJson(call);
  const raw = textOf(body, 'model') || textOf(body, 'name');
  sendJson(call.res, showOf(call.demo.catalogue.find(raw, (_, display) => `model '${display}' not found`)));
}

/** `POST /api/generate` */
export async function generate(call: Call): Promise<void> {
  const body = await readJson(call);
  const name = textOf(body, 'model');
  const model = findGenerator(call, name, 'generate');
  const prompt = textOf(body, 'prompt');
  const whole = (text: string): object => ({ response: text });
  if (prompt === '') return loadOrUnload(call, body, model, { model: name }, whole(''));
  const answer = planAnswer(name, [textOf(body, 'system'), prompt], call.demo.tokens, limitOf(body));
  await answerNatively(call, body, model, answer, whole, { context: [1, 2, 3] });
}

/** `POST /api/chat` */
export async function chat(call: Call): Promise<void> {
  const body = await readJson(call);
  const name = textOf(body, 'model');
  const model = findGenerator(call, name, 'chat');
  const messages = listOf(body, 'messages');
  const whole = (text: string): object => ({ message: { role: 'assistant', content: text } });
  if (messages.length === 0) return loadOrUnload(call, body, model, { model: name }, whole(''));
  const answer = planAnswer(name, messages, call.demo.tokens, limitOf(body));
  await answerNatively(call, body, model, answer, whole, {});
}

/** `POST /api/embed` */
export async function embed(call: Call): Promise<void> {
  const startedAt = performance.now();
  const body = await readJson(call);
  const name = textOf(body, 'model');
  const model = findEmbedder(call, name);
  const input = inputOf(body);
  call.demo.catalogue.load(model, keepAliveOf(body));
  if (input.length === 0) return sendJson(call.res, { model: name, embeddings: [] });
  sendJson(call.res, {
    model: name,
    embeddings: input.map((text) => embeddingOf(text, dimensionsOf(body))),
    total_duration: nanosecondsSince(startedAt),
    load_duration: 1,
    prompt_eval_count: tokensOfInput(input),
  });
}

/** `POST /api/embeddings`, the old form: one text, no usage. */
export async function embeddings(call: Call): Promise<void> {
  const body = await readJson(call);
  const model = findEmbedder(call, textOf(body, 'model'));
  const prompt = textOf(body, 'prompt');
  call.demo.catalogue.load(model, keepAliveOf(body));
  sendJson(call.res, { embedding: prompt === '' ? [] : embeddingOf(prompt, EMBEDDING_LENGTH) });
}

/** The model of an embedding call; Ollama embeds with any model, and words a missing one differently here. */
export function findEmbedder(call: Call, raw: string): Model {
  return call.demo.catalogue.find(raw, (asked) => `model "${asked}" not found, try pulling it first`);
}

/** The texts to embed: one, several, or none. */
export function inputOf(body: Fields): readonly string[] {
  const input = body.input ?? '';
  if (typeof input === 'string') return input === '' ? [] : [input];
  if (!Array.isArray(input) || !input.every((text) => typeof text === 'string')) {
    throw new Refusal(400, 'invalid input type');
  }
  return input;
}

/** Length of the vectors that an embedding call wants: never more than the model has. */
export function dimensionsOf(body: Fields): number {
  const wanted = numberOf(body, 'dimensions') ?? 0;
  return wanted >= 1 && wanted < EMBEDDING_LENGTH ? Math.floor(wanted) : EMBEDDING_LENGTH;
}

/** Tokens of all inputs of an embedding call. */
export function tokensOfInput(input: readonly string[]): number {
  return input.reduce((total, text) => total + countTokens(text), 0);
}

function limitOf(body: Fields): number | undefined {
  return numberOf(fieldsOf(body.options), 'num_predict');
}

async function answerNatively(
  call: Call,
  body: Fields,
  model: Model,
  answer: Answer,
  part: (text: string) => object,
  extra: object,
): Promise<void> {
  const head = { model: answer.model };
  const finish = (text: string): object => ({
    ...doneRecord(head, part(text), answer.doneReason),
    ...extra,
    ...metricsOf(answer),
  });
  const form: Form = {
    streamHeaders: STREAM_HEADERS,
    token: (text) => line({ ...head, created_at: timestamp(), ...part(text), done: false }),
    end: () => line(finish('')),
    wholeType: NATIVE_JSON,
    whole: finish,
  };
  const stream = flagOf(body, 'stream') ?? true;
  await deliver(call, answer, form, { model, stream, keepAliveMs: keepAliveOf(body) });
}

/** A call without a prompt says nothing: it loads the model, or unloads it when `keep_alive` is 0. */
function loadOrUnload(call: Call, body: Fields, model: Model, head: object, part: object): void {
  const keepAliveMs = keepAliveOf(body);
  call.demo.catalogue.load(model, keepAliveMs);
  sendJson(call.res, doneRecord(head, part, keepAliveMs === 0 ? 'unload' : 'load'));
}

function doneRecord(head: object, part: object, doneReason: DoneReason): object {
  return { ...head, created_at: timestamp(), ...part, done: true, done_reason: doneReason };
}

/** One NDJSON record. */
export function line(record: object): string {
  return `${JSON.stringify(record)}\n`;
}

function showOf(model: Model): object {
  return {
    license: 'This is a demo model of Ollama Guard. It has no weights, so there is nothing to license.',
    modelfile: `# A demo model of Ollama Guard: it has no weights and answers with a fixed text.\nFROM ${model.name}\n`,
    parameters: '',
    template: '{{ .Prompt }}',
    system: 'Demo: no language model is running.',
    details: detailsOf(),
    model_info: {
      'general.architecture': 'demo',
      'general.basename': model.name.split(':')[0],
      'general.description': 'Demo model of Ollama Guard, without weights',
      'general.parameter_count': 0,
      'demo.context_length': CONTEXT_LENGTH,
      'demo.embedding_length': EMBEDDING_LENGTH,
    },
    capabilities: model.capabilities,
    modified_at: model.modifiedAt.toISOString(),
  };
}
