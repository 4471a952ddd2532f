import type { IncomingMessage } from 'node:http';
import { type AnswerUsage, usageAtEnd, usageWithin } from './answerUsage.ts';

/** How Ollama streams on a path. */
interface Form {
  /** How a line begins that holds what the model wrote, or says that the next one does; none begins another. */
  readonly begins: readonly Buffer[];
  /** The most bytes of a line that holds one token, of a model with a long name. */
  readonly usual: number;
  /** How a line ends that says how likely its token was, at length. */
  readonly likelyEnd?: Buffer;
}

/** Without tools no line holds more than a token, however much is said of it, or of all of them at the end. */
const noTools = Number.POSITIVE_INFINITY;

const native = [Buffer.from('{')];
const data = [Buffer.from('data: {')];

const forms: Readonly<Record<string, Form>> = {
  '/api/generate': { begins: native, usual: noTools },
  '/api/chat': { begins: native, usual: 224, likelyEnd: Buffer.from(']}]}') },
  '/v1/chat/completions': { begins: data, usual: 320, likelyEnd: Buffer.from(']}]}}]}') },
  '/v1/completions': { begins: data, usual: noTools },
  '/v1/responses': {
    begins: ['output_text', 'function_call_arguments', 'reasoning_summary_text'].map((part) =>
      Buffer.from(`event: response.${part}.delta`),
    ),
    usual: 192,
  },
  '/v1/messages': { begins: [Buffer.from('event: content_block_delta')], usual: 128 },
};

/** No line's beginning is longer. */
const longestBegin = Math.max(...Object.values(forms).flatMap(({ begins }) => begins.map(({ length }) => length)));

/** Bytes of a token in a line that holds many. */
const bytesPerToken = 4;

const nothing = Buffer.alloc(0);
const milliseconds = () => performance.now();
const [newline, closeObject] = [0x0a, 0x7d];
const streamed = /^(application\/x-ndjson|text\/event-stream)\b/;

/** Ollama's own numbers are in the last record, at its end; an answer that is one JSON ends with them. */
const tailBytes = 4_096;

/**
 * So many chunks are read at once, unless they are large or somebody asks: a record comes every few milliseconds at best,
 * and code that ran so long ago is slow again.
 */
const unreadChunks = 8;

/** Tokens of a request that is over; left out what Ollama did not say, so that an estimate has to do. */
export interface TokenCount extends AnswerUsage {
  /** Of a stream that was cut: milliseconds since something came, in which a tool call may have been written. */
  readonly silentMs?: number;
}

/**
 * Counts the tokens of an answer that flows by, until Ollama says how many there were: one for each record, and more for
 * one that is longer than a token makes it. Ollama holds a tool call back until it is complete, and sends it as one.
 */
export class TokenCounter {
  readonly #form: Form | undefined;
  readonly #now: () => number;
  #records = 0;
  /** Bytes beyond those of usual records. */
  #beyond = 0;
  /** Bytes of the line that has not ended yet. */
  #line = 0;
  /** How that line begins, while it is too short to say what it is. */
  #begun: string | undefined;
  /** Whether it holds what the model wrote. */
  #isModels = false;
  /** Whether the last long line said how likely its token was. */
  #isLikely = false;
  /** What Ollama said before the answer's end. */
  #told: AnswerUsage | undefined;
  /** Whether it may say that in what comes next. */
  #mayTell: boolean;
  /** What came and was not read yet, and what it keeps in memory. */
  readonly #unread: Buffer[] = [];
  #unreadBytes = 0;
  #tail: Buffer = nothing;
  #filled = 0;
  #seenAt: number | undefined;
  #counted: number | undefined;

  /**
   * @param isStream whether the answer is a stream of records; one JSON otherwise.
   * @param now milliseconds; replaced in tests.
   */
  constructor(path: string, isStream: boolean, now = milliseconds) {
    this.#form = isStream ? forms[path] : undefined;
    this.#mayTell = path === (isStream ? '/v1/messages' : '/api/generate');
    this.#now = now;
  }

  /** As many as there seem to be so far; after `end` Ollama's own number, if there was one. */
  get tokens(): number {
    if (this.#counted !== undefined) return this.#counted;
    this.#readAll();
    const line = this.#form === undefined || this.#isLikely ? 0 : this.#lineBeyond(this.#form);
    return this.#records + Math.floor((this.#beyond + line) / bytesPerToken);
  }

  write(chunk: Buffer): void {
    if (this.#form !== undefined) this.#seenAt = this.#now();
    this.#unread.push(chunk);
    this.#unreadBytes += chunk.buffer.byteLength;
    if (this.#unread.length === unreadChunks || this.#unreadBytes > tailBytes) this.#readAll();
  }

  /**
   * Takes Ollama's own numbers where they have come.
   *
   * @param whole whether the answer came to its end.
   */
  end(whole = true): TokenCount {
    this.#readAll();
    const isStream = this.#form !== undefined;
    const usage = isStream ? this.#usageOfLines(whole) : { ...(whole && this.#usageAtEnd()), ...this.#told };
    const { prompt = this.#told?.prompt, output = isStream ? this.tokens : undefined } = usage;
    this.#counted = output ?? 0;
    const count: { -readonly [name in keyof TokenCount]: number } = {};
    if (prompt !== undefined) count.prompt = prompt;
    if (output !== undefined) count.output = output;
    if (!whole && usage.output === undefined && this.#seenAt !== undefined) count.silentMs = this.#now() - this.#seenAt;
    return count;
  }

  #readAll(): void {
    for (const chunk of this.#unread) this.#read(chunk);
    this.#unread.length = 0;
    this.#unreadBytes = 0;
  }

  #read(chunk: Buffer): void {
    if (this.#form !== undefined) this.#count(chunk, this.#form);
    else if (this.#mayTell && this.#filled + chunk.length > tailBytes) this.#readWithin(chunk);
    this.#keepTail(chunk);
    if (this.#mayTell && this.#form !== undefined) this.#readOpening();
  }

  #usageAtEnd(): AnswerUsage {
    return usageAtEnd(this.#tail.toString('latin1', 0, this.#filled));
  }

  /** The numbers in the records that the tail holds, later ones first. */
  #usageOfLines(whole: boolean): AnswerUsage {
    const text = this.#tail.toString('latin1', 0, this.#filled);
    if (!hasNumbers(text)) return {};
    let prompt: number | undefined;
    // What follows the last line end of a stream that was cut is no record yet.
    for (let end = whole ? text.length : text.lastIndexOf('\n'); end > 0; ) {
      const begin = text.lastIndexOf('\n', end - 1) + 1;
      if (text.charCodeAt(end - 1) === closeObject) {
        const usage = usageAtEnd(text, begin, end);
        prompt ??= usage.prompt;
        if (usage.output !== undefined) return { ...(prompt !== undefined && { prompt }), output: usage.output };
      }
      end = begin - 1;
    }
    return prompt === undefined ? {} : { prompt };
  }

  /** The first record of `/v1/messages` holds the prompt's tokens, which then are known of a stream that is cut too. */
  #readOpening(): void {
    const usage = this.#usageOfLines(false);
    this.#told = usage.prompt === undefined ? undefined : { prompt: usage.prompt };
    this.#mayTell = this.#told === undefined && this.#filled < tailBytes;
  }

  /** Before what comes next pushes them out of the tail. */
  #readWithin(chunk: Buffer): void {
    this.#told = usageWithin(this.#tail.toString('latin1', 0, this.#filled) + chunk.toString('latin1'));
    this.#mayTell = this.#told === undefined;
  }

  #count(chunk: Buffer, form: Form): void {
    for (let at = 0; at < chunk.length; ) {
      const found = chunk.indexOf(newline, at);
      const end = found === -1 ? chunk.length : found;
      if (this.#line === 0) this.#beginLine(chunk, at, end, form);
      else if (this.#begun !== undefined) this.#goOn(chunk, at, end, form);
      this.#line += end - at;
      if (found === -1) return;
      this.#endLine(chunk, end, form);
      at = end + 1;
    }
  }

  #beginLine(chunk: Buffer, at: number, end: number, { begins }: Form): void {
    // An empty line ends an event; what is in it is on the lines before.
    if (at === end) {
      if (end < chunk.length) this.#isModels = false;
      return;
    }
    for (const begin of begins) {
      if (!beginsAt(chunk, at, end, begin)) continue;
      this.#records += 1;
      this.#isModels = true;
      return;
    }
    if (end === chunk.length && end - at < longestBegin) this.#begun = chunk.toString('latin1', at, end);
  }

  /** A line whose beginning came in pieces. */
  #goOn(chunk: Buffer, at: number, end: number, { begins }: Form): void {
    const begun = (this.#begun ?? '') + chunk.toString('latin1', at, Math.min(end, at + longestBegin));
    if (begins.some((begin) => begun.startsWith(begin.toString('latin1')))) {
      this.#records += 1;
      this.#isModels = true;
      this.#begun = undefined;
    } else this.#begun = begun.length < longestBegin ? begun : undefined;
  }

  #endLine(chunk: Buffer, end: number, form: Form): void {
    const beyond = this.#lineBeyond(form);
    if (beyond > 0) {
      this.#isLikely = form.likelyEnd !== undefined && this.#endsWith(chunk, end, form.likelyEnd);
      if (!this.#isLikely) this.#beyond += beyond;
    }
    this.#line = 0;
    this.#begun = undefined;
  }

  #lineBeyond({ usual }: Form): number {
    return this.#isModels && this.#line > usual ? this.#line - usual : 0;
  }

  /** Whether the line that ends here, in a chunk that is not in the tail yet, ends so. */
  #endsWith(chunk: Buffer, end: number, suffix: Buffer): boolean {
    for (let back = 1; back <= suffix.length; back++) {
      const byte = end >= back ? chunk[end - back] : this.#tail[this.#filled + end - back];
      if (byte !== suffix[suffix.length - back]) return false;
    }
    return true;
  }

  /**
   * Grows with need: most of many streams are idle. What comes first may be all there is and is not copied, unless it
   * is a part of something larger, all of which it would hold on to.
   */
  #keepTail(chunk: Buffer): void {
    const taken = Math.min(chunk.length, tailBytes);
    const kept = Math.min(this.#filled, tailBytes - taken);
    const needed = kept + taken;
    // A chunk is not the tail's own. It is shorter than the tail can be, so that whatever comes next replaces it.
    if (this.#filled === 0 && taken < tailBytes && chunk.buffer.byteLength <= 2 * tailBytes) {
      this.#tail = chunk;
      this.#filled = taken;
      return;
    }
    if (needed > this.#tail.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(tailBytes, Math.max(needed, 2 * this.#tail.length)));
      this.#tail.copy(grown, 0, this.#filled - kept, this.#filled);
      this.#tail = grown;
    } else if (kept < this.#filled) this.#tail.copyWithin(0, this.#filled - kept, this.#filled);
    chunk.copy(this.#tail, kept, chunk.length - taken);
    this.#filled = needed;
  }
}

/** Whether numbers can be in a text at all: within a string, the quotes around their names have backslashes. */
function hasNumbers(text: string): boolean {
  return text.includes('_count":') || text.includes('_tokens":') || text.includes('load"');
}

function beginsAt(chunk: Buffer, at: number, end: number, begin: Buffer): boolean {
  if (end - at < begin.length) return false;
  for (let i = 0; i < begin.length; i++) if (chunk[at + i] !== begin[i]) return false;
  return true;
}

/** Embedding answers are one JSON, which Ollama's number of the prompt's tokens ends. */
const embeds: ReadonlySet<string> = new Set(['/api/embed', '/v1/embeddings']);

/** Answers in which Ollama says nothing of tokens though it took some. */
const untold: Readonly<Record<string, TokenCount>> = {
  '/api/embeddings': { output: 0 },
  '/v1/audio/transcriptions': {},
};

const free: TokenCount = { prompt: 0, output: 0 };

/** Ollama's queue is full: it has not begun. */
const busy = 503;

/**
 * What is known of an answer that is none of a model's: nothing where Ollama failed, which may have been at work until
 * then. What it refused is free.
 */
function untoldCount(path: string, status: number): TokenCount {
  if (status >= 500 && status !== busy) return {};
  return (status === 200 && untold[path]) || free;
}

/** Whoever is told how an answer gets on. */
export interface TokenWatcher {
  /** Where its tokens so far can be asked for. */
  counts(tokens: () => number): void;
  /** There may be more of them. */
  progresses(): void;
}

/**
 * Counts the tokens of an answer as they come, on paths that generate, and calls back with those of the request once it
 * is over: whole, or as far as it had come when it was cut. An answer that is no model's, such as an error, is over at
 * once. Call it when the answer's reader is attached.
 */
export function watchTokens(
  path: string,
  answer: IncomingMessage,
  watcher: TokenWatcher,
  onEnd: (count: TokenCount) => void = () => {},
): void {
  const generates = forms[path] !== undefined;
  const { statusCode = 0 } = answer;
  if (statusCode !== 200 || (!generates && !embeds.has(path))) {
    onEnd(untoldCount(path, statusCode));
    return;
  }
  const counter = new TokenCounter(path, generates && streamed.test(answer.headers['content-type'] ?? ''));
  if (generates) watcher.counts(() => counter.tokens);
  answer.on('data', (chunk: Buffer) => {
    counter.write(chunk);
    if (generates) watcher.progresses();
  });
  const tell = (count: TokenCount) => onEnd(generates ? count : { ...count, output: 0 });
  answer.on('close', () => {
    if (!answer.readableEnded) tell(counter.end(false));
  });
  answer.on('end', () => {
    const count = counter.end();
    if (generates) watcher.progresses();
    tell(count);
  });
}
