import type { IncomingMessage } from 'node:http';
import type { EmbeddingPath, TranscribingPath, WritingPath } from '../routes.ts';
import { type AnswerUsage, usageAtEnd, usageWithin } from './answerUsage.ts';

/** How Ollama streams on a path. */
interface Form {
  /** How a line begins that holds what the model wrote, or says that the next one does; none begins another. */
  readonly begins: readonly string[];
  /** What comes before a text that the model wrote, which a quote ends. */
  readonly texts: readonly string[];
  /** The most bytes that are around the text, for a model with a long name; what is more is a tool call. */
  readonly usual: number;
  /** How a line ends that says how likely its token was, at length. */
  readonly logprobsEnd?: string;
}

/** All else in a line is said of the text. */
const noTools = Number.POSITIVE_INFINITY;

const native = { begins: ['{'], usual: 224, logprobsEnd: ']}]}' };
const data = ['data: {'];

const forms: Readonly<Record<string, Form>> = {
  '/api/generate': { ...native, texts: ['"response":"', '"thinking":"'] },
  '/api/chat': { ...native, texts: ['"content":"', '"thinking":"'] },
  '/v1/chat/completions': {
    begins: data,
    texts: ['"content":"', '"reasoning":"'],
    usual: 320,
    logprobsEnd: ']}]}}]}',
  },
  '/v1/completions': { begins: data, texts: ['"text":"'], usual: noTools },
  '/v1/responses': {
    begins: ['output_text', 'function_call_arguments', 'reasoning_summary_text'].map(
      (part) => `event: response.${part}.delta`,
    ),
    texts: ['"delta":"'],
    usual: 192,
  },
  '/v1/messages': {
    begins: ['event: content_block_delta'],
    texts: ['"text":"', '"thinking":"', '"partial_json":"'],
    usual: 128,
  },
} satisfies Record<WritingPath, Form>;

/** English has about as many in a token. */
const bytesPerToken = 4;

/** Hardly any text has more in a token on average, and hardly any token has more. */
const averageTokenBytes = 6;
const longestTokenBytes = 24;

const milliseconds = () => performance.now();
const [quote, backslash, lowerU, closeObject] = [0x22, 0x5c, 0x75, 0x7d];
const streamed = /^(application\/x-ndjson|text\/event-stream)\b/;

/** Ollama's own numbers are in the last record, at its end; an answer that is one JSON ends with them. */
const tailBytes = 4_096;

/**
 * So much is read at once, unless somebody asks: a record comes every few milliseconds at best, and by then the code that
 * reads it has left the processor's caches.
 */
const unreadBytes = 2_048;

/** Tokens of a request that is over; left out what Ollama did not say, so that an estimate has to do. */
export interface TokenCount extends AnswerUsage {
  /** Of a stream that was cut: milliseconds since something came, in which a tool call may have been written. */
  readonly silentMs?: number;
}

/**
 * Counts the tokens of an answer that flows by, until Ollama says how many there were: one for each record, or more when
 * the texts are longer than tokens make them, as when Ollama holds them back because what the request is to `stop` at may
 * have begun. A tool call too is held back until it is complete, and comes as one.
 */
export class TokenCounter {
  readonly #form: Form | undefined;
  readonly #now: () => number;
  #records = 0;
  /** Those that have a text, and the bytes of all their texts. */
  #spoken = 0;
  #textBytes = 0;
  /** Bytes beyond those of a token in each record. */
  #beyond = 0;
  /** Bytes of the line that has not ended yet. */
  #line = 0;
  /** Whether it holds what the model wrote. */
  #isModels = false;
  /** Whether the last long line said how likely its token was. */
  #hasLogprobs = false;
  /** What Ollama said of one JSON before its end. */
  #told: AnswerUsage | undefined;
  /** Whether it may say that in what comes next. */
  #mayTell: boolean;
  /** What came last, a character for each byte: as much as the numbers may be in, and what was not read yet. */
  #text = '';
  /** Where that begins in it. */
  #at = 0;
  #seenAt: number | undefined;
  #counted: number | undefined;

  /**
   * @param isStream whether the answer is a stream of records; one JSON otherwise.
   * @param now milliseconds; replaced in tests.
   */
  constructor(path: string, isStream: boolean, now = milliseconds) {
    this.#form = isStream ? forms[path] : undefined;
    this.#mayTell = path === '/api/generate' && !isStream;
    this.#now = now;
  }

  /** As many as there seem to be so far; after `end` Ollama's own number, if there was one. */
  get tokens(): number {
    if (this.#counted !== undefined) return this.#counted;
    this.#readOn();
    const text = this.#form === undefined ? 0 : this.#textInLine(this.#form);
    const around = this.#form === undefined || this.#hasLogprobs ? 0 : this.#aroundInLine(this.#form, text);
    const byRecord = this.#records + Math.floor((this.#beyond + beyondToken(text) + around) / bytesPerToken);
    return Math.max(byRecord, Math.floor((this.#textBytes + text) / averageTokenBytes));
  }

  write(chunk: Buffer): void {
    if (this.#form !== undefined) this.#seenAt = this.#now();
    this.#text += chunk.toString('latin1');
    if (this.#text.length - this.#at > unreadBytes) this.#readOn();
  }

  /**
   * Takes Ollama's own numbers where they have come.
   *
   * @param whole whether the answer came to its end.
   */
  end(whole = true): TokenCount {
    this.#readOn();
    this.#cut();
    const isStream = this.#form !== undefined;
    const usage = isStream ? this.#usageOfStream(whole) : { ...(whole && usageAtEnd(this.#text)), ...this.#told };
    const { prompt, output = isStream ? this.tokens : undefined } = usage;
    this.#counted = output ?? 0;
    const count: { -readonly [name in keyof TokenCount]: number } = {};
    if (prompt !== undefined) count.prompt = prompt;
    if (output !== undefined) count.output = output;
    if (!whole && usage.output === undefined && this.#seenAt !== undefined) count.silentMs = this.#now() - this.#seenAt;
    return count;
  }

  #readOn(): void {
    if (this.#form === undefined) this.#at = this.#text.length;
    else this.#count(this.#form);
    if (this.#text.length > 2 * tailBytes) this.#cut();
  }

  /** Lets go of all but the end. */
  #cut(): void {
    const cut = this.#text.length - tailBytes;
    if (cut <= 0) return;
    if (this.#mayTell) this.#readWithin();
    this.#text = this.#text.slice(cut);
    this.#at -= cut;
  }

  /**
   * What Ollama says at a stream's end, or what came when that is more: with `format` a model that thinks is run twice,
   * and the numbers are those of the second run (`structuredOutputsState` in routes.go).
   */
  #usageOfStream(whole: boolean): AnswerUsage {
    const { output, ...usage } = this.#usageOfLines(whole);
    return output === undefined ? usage : { ...usage, output: Math.max(output, this.#spoken) };
  }

  /** The numbers in the records that are still here, later ones first. */
  #usageOfLines(whole: boolean): AnswerUsage {
    const text = this.#text;
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

  /** Before they are let go of. */
  #readWithin(): void {
    this.#told = usageWithin(this.#text);
    this.#mayTell = this.#told === undefined;
  }

  #count(form: Form): void {
    while (this.#at < this.#text.length) {
      const found = this.#text.indexOf('\n', this.#at);
      const end = found === -1 ? this.#text.length : found;
      if (this.#line === 0 && !this.#beginLine(end, form)) return;
      this.#line += end - this.#at;
      this.#at = end;
      if (found === -1) return;
      this.#endLine(form);
      this.#at = end + 1;
    }
  }

  /** @returns false while it is too short to say what it is. */
  #beginLine(end: number, { begins }: Form): boolean {
    // An empty line ends an event; what is in it is on the lines before.
    if (end === this.#at) this.#isModels = false;
    else if (begins.some((begin) => this.#text.startsWith(begin, this.#at))) {
      this.#records += 1;
      this.#isModels = true;
    } else if (end === this.#text.length) {
      const begun = this.#text.slice(this.#at);
      return !begins.some((begin) => begin.startsWith(begun));
    }
    return true;
  }

  #endLine(form: Form): void {
    const text = this.#textInLine(form);
    if (text > 0) this.#spoken += 1;
    this.#textBytes += text;
    this.#beyond += beyondToken(text);
    const around = this.#aroundInLine(form, text);
    if (around > 0) {
      this.#hasLogprobs = form.logprobsEnd !== undefined && this.#text.endsWith(form.logprobsEnd, this.#at);
      if (!this.#hasLogprobs) this.#beyond += around;
    }
    this.#line = 0;
  }

  /** Bytes of the model's text in the line at hand, as far as it has come; 0 when its beginning is not here any more. */
  #textInLine({ texts }: Form): number {
    const begin = this.#at - this.#line;
    if (!this.#isModels || begin < 0) return 0;
    const line = this.#text.slice(begin, this.#at);
    let bytes = 0;
    for (const before of texts) {
      const found = line.indexOf(before);
      if (found !== -1) bytes += textBytesFrom(line, found + before.length);
    }
    return bytes;
  }

  /** Bytes of the line at hand beyond its text and what is usual around it; all, when its beginning is not here any more. */
  #aroundInLine({ usual }: Form, text: number): number {
    if (!this.#isModels) return 0;
    return Math.max(0, this.#line - text - (this.#line > this.#at ? 0 : usual));
  }
}

/** What a text has more than one token can have, in bytes. */
const beyondToken = (textBytes: number): number => Math.max(0, textBytes - longestTokenBytes);

/** Bytes of a text within a JSON string, from a place in it to its quote, or as far as it has come; an escape is one. */
function textBytesFrom(text: string, from: number): number {
  let bytes = 0;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) break;
    if (code === backslash) at += text.charCodeAt(at + 1) === lowerU ? 5 : 1;
    bytes += 1;
  }
  return bytes;
}

/** Whether numbers can be in a text at all: within a string, the quotes around their names have backslashes. */
function hasNumbers(text: string): boolean {
  return text.includes('_count":') || text.includes('_tokens":') || text.includes('load"');
}

/** Answers that no model writes: one JSON, which Ollama's number of the prompt's tokens ends or which says nothing. */
const unwritten: Readonly<Record<string, 'told' | TokenCount>> = {
  '/api/embed': 'told',
  '/v1/embeddings': 'told',
  '/api/embeddings': { output: 0 },
  '/v1/audio/transcriptions': {},
} satisfies Record<EmbeddingPath | TranscribingPath, 'told' | TokenCount>;

const free: TokenCount = { prompt: 0, output: 0 };

/** Ollama's queue is full: it has not begun. */
const busy = 503;

/**
 * What is known of an answer that is none of a model's: nothing where Ollama failed, which may have been at work until
 * then. What it refused is free.
 */
function untoldCount(path: string, status: number): TokenCount {
  if (status >= 500 && status !== busy) return {};
  const known = status === 200 ? unwritten[path] : undefined;
  return known === undefined || known === 'told' ? free : known;
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
  if (statusCode !== 200 || (!generates && unwritten[path] !== 'told')) {
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
