/** What the demo says. The first word alone already tells that no model speaks. */
const WORDS =
  '[demo] This text comes from the demo Ollama inside Ollama Guard: no language model is running, and every answer is these words.'.split(
    ' ',
  );

/** Length of an answer when nobody asks for another: the whole sentence once. */
export const DEFAULT_TOKENS = WORDS.length;

/** Why an answer ended: it was complete, it reached the caller's limit, or there was nothing to answer. */
export type DoneReason = 'stop' | 'length' | 'load' | 'unload';

/** One answer: all that a dialect needs to write it down. */
export interface Answer {
  /** The model's name as the caller spelled it; Ollama echoes that. */
  readonly model: string;
  readonly tokens: number;
  readonly promptTokens: number;
  readonly doneReason: DoneReason;
  /** When the request began, by `performance.now()`. */
  readonly startedAt: number;
}

/**
 * Plans an answer of `tokens` tokens, or fewer when the caller set a positive limit (`num_predict`, `max_tokens`).
 */
export function planAnswer(model: string, prompt: unknown, tokens: number, limit: number | undefined): Answer {
  const cut = limit !== undefined && limit > 0 && limit < tokens;
  return {
    model,
    tokens: cut ? Math.ceil(limit) : tokens,
    promptTokens: countTokens(prompt),
    doneReason: cut ? 'length' : 'stop',
    startedAt: performance.now(),
  };
}

/** The text of one token: a word of the demo sentence, with the space before it. */
export function tokenText(index: number): string {
  return `${index === 0 ? '' : ' '}${WORDS[index % WORDS.length]}`;
}

/** The text of a whole answer. */
export function answerText(answer: Answer): string {
  return Array.from({ length: answer.tokens }, (_, index) => tokenText(index)).join('');
}

/** A guess at the tokens of a prompt: a quarter of all text in it, at least one. */
export function countTokens(prompt: unknown): number {
  return Math.max(1, Math.ceil(charactersIn(prompt) / 4));
}

function charactersIn(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  let total = 0;
  for (const member of Object.values(value)) total += charactersIn(member);
  return total;
}

/** The counters of a native final record; durations in nanoseconds. */
export function metricsOf(answer: Answer): object {
  const total = nanosecondsSince(answer.startedAt);
  return {
    total_duration: total,
    load_duration: 1,
    prompt_eval_count: answer.promptTokens,
    prompt_eval_duration: 1,
    eval_count: answer.tokens,
    eval_duration: total,
  };
}

/** Nanoseconds since a `performance.now()`, at least one: Go leaves a zero out. */
export function nanosecondsSince(startedAt: number): number {
  return Math.max(1, Math.round((performance.now() - startedAt) * 1e6));
}

/** The present as Go writes it, to the microsecond: a benchmark reads a record's age from `created_at`. */
export function timestamp(): string {
  const micros = Math.floor((performance.timeOrigin + performance.now()) * 1_000);
  const rest = String(micros % 1_000).padStart(3, '0');
  return `${new Date(Math.floor(micros / 1_000)).toISOString().slice(0, -1)}${rest}Z`;
}

/** The present in whole seconds, as the OpenAI dialect counts it. */
export function unixSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}

/** A made-up embedding: a unit vector that is always the same for the same text, and says nothing about its meaning. */
export function embeddingOf(text: string, dimensions: number): number[] {
  let state = hash(text);
  const vector = Array.from({ length: dimensions }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state / 2 ** 31;
  });
  const length = Math.hypot(...vector);
  return vector.map((value) => Math.fround(value / length));
}

/** FNV-1a, never 0: a xorshift generator would stay there. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  return value | 1;
}
