import type { IncomingMessage } from 'node:http';
import { type AnswerUsage, usageAtEnd } from './answerUsage.ts';

/** How a record that carries a token begins in the streams of each path; each begins with the end of the line before. */
const records: Readonly<Record<string, Buffer>> = {
  '/api/generate': Buffer.from('\n{'),
  '/api/chat': Buffer.from('\n{'),
  '/v1/chat/completions': Buffer.from('\ndata: {'),
  '/v1/completions': Buffer.from('\ndata: {'),
  '/v1/responses': Buffer.from('\nevent: response.output_text.delta'),
  '/v1/messages': Buffer.from('\nevent: content_block_delta'),
};

const nothing = Buffer.alloc(0);
const newline = 0x0a;
const streamed = /^(application\/x-ndjson|text\/event-stream)\b/;

/** Ollama's own numbers are in the last record, at its end; an answer that is one JSON ends with them. */
const tailBytes = 4_096;

/** Tokens of a request that is over; left out what Ollama did not say, so that an estimate has to do. */
export type TokenCount = Pick<AnswerUsage, 'prompt' | 'output'>;

/** Counts the tokens of an answer that flows by: a token a record, until Ollama says how many there were. */
export class TokenCounter {
  readonly #record: Buffer | undefined;
  #tokens = 0;
  #prompt: number | undefined;
  /** Whether the number of the prompt's tokens may be in what comes next. */
  #opening: boolean;
  /** How many bytes of a record's beginning the chunks so far end with. */
  #begun = 1;
  #tail = nothing;
  #filled = 0;

  /**
   * @param record how a record begins; undefined when the answer is none of records.
   * @param opening whether the first record holds the prompt's tokens, which then are known of a stream that is cut too.
   */
  constructor(record: Buffer | undefined, opening = false) {
    this.#record = record;
    this.#opening = opening;
  }

  /** Records so far; after `end` Ollama's own number, if there was one. */
  get tokens(): number {
    return this.#tokens;
  }

  write(chunk: Buffer): void {
    if (this.#record !== undefined) this.#count(chunk, this.#record);
    this.#keepTail(chunk);
    if (this.#opening) this.#readOpening();
  }

  /**
   * Takes Ollama's own numbers where they have come.
   *
   * @param whole whether the answer came to its end.
   */
  end(whole = true): TokenCount {
    const { prompt = this.#prompt, output, events = 0 } = this.#usage(whole);
    // Of /v1/responses the records are those of the text alone; a stream that is cut may have been thinking until then.
    const counted = this.#record === undefined ? undefined : Math.max(this.#tokens, events);
    const tokens = output ?? counted;
    this.#tokens = tokens ?? 0;
    return { ...(prompt !== undefined && { prompt }), ...(tokens !== undefined && { output: tokens }) };
  }

  /** The numbers in the records that the tail holds, later ones first; of one JSON only when it is whole. */
  #usage(whole: boolean): AnswerUsage {
    const text = this.#tail.toString('latin1', 0, this.#filled);
    if (this.#record === undefined) return whole ? usageAtEnd(text) : {};
    // What follows the last line end of a stream that was cut is no record yet.
    const lines = (whole ? text : text.slice(0, text.lastIndexOf('\n') + 1)).split('\n');
    let usage: AnswerUsage = {};
    for (let line = lines.pop(); line !== undefined; line = lines.pop()) {
      if (line.endsWith('}')) usage = { ...usageAtEnd(line), ...usage };
      if (usage.prompt !== undefined && usage.output !== undefined) break;
    }
    return usage;
  }

  #readOpening(): void {
    this.#prompt = this.#usage(false).prompt;
    this.#opening = this.#prompt === undefined && this.#filled < tailBytes;
  }

  #count(chunk: Buffer, record: Buffer): void {
    let at = 0;
    if (this.#begun > 0) {
      while (at < chunk.length && this.#begun < record.length && chunk[at] === record[this.#begun]) {
        at += 1;
        this.#begun += 1;
      }
      if (this.#begun === record.length) this.#tokens += 1;
      else if (at === chunk.length) return;
    }
    for (let found = chunk.indexOf(record, at); found !== -1; found = chunk.indexOf(record, at)) {
      this.#tokens += 1;
      at = found + record.length;
    }
    // A record's only line end is its first byte, so there is one place where a cut one can begin.
    const line = chunk.lastIndexOf(newline);
    const rest = line < at ? 0 : chunk.length - line;
    // Without a subarray: each would be an object for the garbage collector, at every record of every stream.
    const begins = rest > 0 && rest < record.length && chunk.compare(record, 0, rest, line) === 0;
    this.#begun = begins ? rest : 0;
  }

  /** Copies, because a part of a chunk would hold on to all of it, and grows with need: most of many streams are idle. */
  #keepTail(chunk: Buffer): void {
    const taken = Math.min(chunk.length, tailBytes);
    const kept = Math.min(this.#filled, tailBytes - taken);
    const needed = kept + taken;
    if (needed > this.#tail.length) {
      const grown = Buffer.alloc(Math.min(tailBytes, Math.max(needed, 2 * this.#tail.length)));
      this.#tail.copy(grown, 0, this.#filled - kept, this.#filled);
      this.#tail = grown;
    } else if (kept < this.#filled) this.#tail.copyWithin(0, this.#filled - kept, this.#filled);
    chunk.copy(this.#tail, kept, chunk.length - taken);
    this.#filled = needed;
  }
}

/** Embedding answers are one JSON, which Ollama's number of the prompt's tokens ends. */
const embeds: ReadonlySet<string> = new Set(['/api/embed', '/v1/embeddings']);

/** Answers in which Ollama says nothing of tokens though it took some. */
const untold: Readonly<Record<string, TokenCount>> = {
  '/api/embeddings': { output: 0 },
  '/v1/audio/transcriptions': {},
};

/**
 * Calls back with the tokens of an answer as they come, on paths that generate, and with those of the request once it is
 * over: whole, or as far as it had come when it was cut. An answer that takes none, such as an error, is over at once.
 * Call it when the answer's reader is attached.
 */
export function watchTokens(
  path: string,
  answer: IncomingMessage,
  onTokens: (tokens: number) => void,
  onEnd: (count: TokenCount) => void = () => {},
): void {
  const record = records[path];
  if (answer.statusCode !== 200 || (record === undefined && !embeds.has(path))) {
    onEnd((answer.statusCode === 200 && untold[path]) || { prompt: 0, output: 0 });
    return;
  }
  const streams = record !== undefined && streamed.test(answer.headers['content-type'] ?? '');
  const counter = new TokenCounter(streams ? record : undefined, streams && path === '/v1/messages');
  const show = record === undefined ? () => {} : () => onTokens(counter.tokens);
  answer.on('data', (chunk: Buffer) => {
    counter.write(chunk);
    show();
  });
  const tell = (count: TokenCount) => onEnd(record === undefined ? { ...count, output: 0 } : count);
  const cut = () => tell(counter.end(false));
  answer.once('close', cut);
  answer.once('end', () => {
    answer.off('close', cut);
    const count = counter.end();
    show();
    tell(count);
  });
}
