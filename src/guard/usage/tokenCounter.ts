import type { IncomingMessage } from 'node:http';

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

/** Ollama's own number is in the last record, which is short; an answer that is one JSON ends with it. */
const tailBytes = 4_096;

/** A quote inside a JSON string is escaped, so what a model writes is never taken for this. 0 is a placeholder. */
const ownNumber = /"(?:eval_count|completion_tokens|output_tokens)":\s*([1-9]\d{0,8})\b/g;

/** Counts the tokens of an answer that flows by: a token a record, until Ollama says how many there were. */
export class TokenCounter {
  readonly #record: Buffer | undefined;
  #tokens = 0;
  /** How many bytes of a record's beginning the chunks so far end with. */
  #begun = 1;
  #tail = nothing;
  #filled = 0;

  /** @param record how a record begins; undefined when the answer is none of records. */
  constructor(record: Buffer | undefined) {
    this.#record = record;
  }

  /** Records so far; after `end` Ollama's own number, if there was one. */
  get tokens(): number {
    return this.#tokens;
  }

  write(chunk: Buffer): void {
    if (this.#record !== undefined) this.#count(chunk, this.#record);
    this.#keepTail(chunk);
  }

  end(): void {
    const last = [...this.#tail.toString('latin1', 0, this.#filled).matchAll(ownNumber)].at(-1);
    if (last !== undefined) this.#tokens = Number(last[1]);
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

/**
 * Calls back with the tokens of an answer as they come, on paths that generate. Call it when the answer's reader is
 * attached.
 */
export function watchTokens(path: string, answer: IncomingMessage, onTokens: (tokens: number) => void): void {
  const record = records[path];
  if (record === undefined || answer.statusCode !== 200) return;
  const counter = new TokenCounter(streamed.test(answer.headers['content-type'] ?? '') ? record : undefined);
  answer.on('data', (chunk: Buffer) => {
    counter.write(chunk);
    onTokens(counter.tokens);
  });
  answer.once('end', () => {
    counter.end();
    onTokens(counter.tokens);
  });
}
