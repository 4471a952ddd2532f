import type { RefusalCode } from '../answers.ts';
import type { BodyFacts, Kind, Value } from './facts.ts';
import { type Field, outermost } from './fields.ts';
import { Findings } from './findings.ts';
import { scalarEnd, scalarStep } from './scalars.ts';
import { folded, unquoted } from './strings.ts';

/** How deep objects and arrays may be in one another; Go itself takes 10,000. */
const maxDepth = 128;

/** Bounds where keys count: how many an object may have, and how long one may be, in bytes. */
const maxKeys = 1_000;
const maxKeyBytes = 1_024;

/** What a decision relies on is no longer than this, in bytes; other values are reported without their text. */
const maxValueBytes = 512;

const quote = 0x22;
const backslash = 0x5c;
const [openBrace, openBracket, closeBrace, closeBracket, comma, colon] = Buffer.from('{[}],:');
const [space, tab, lineFeed, carriageReturn] = Buffer.from(' \t\n\r');

/** What may come next, one or more of them; 0 is the end of the body. */
const outset = 1;
const value = 2;
const key = 4;
const afterKey = 8;
const separator = 16;
const close = 32;

/** What the bytes at hand are part of. */
type Token = 'none' | 'key' | 'string' | 'scalar';

/** An object or array that has begun; there is one a depth, over and over. */
class Container {
  isObject = false;
  /** What is known of it; undefined where nothing is. */
  field: Field | undefined;
  path = '';
  start = 0;
  /** Those that were there, where keys count. */
  readonly keys = new Set<string>();

  begin(isObject: boolean, field: Field | undefined, path: string, start: number): void {
    this.isObject = isObject;
    this.field = field;
    this.path = path;
    this.start = start;
    if (this.keys.size > 0) this.keys.clear();
  }
}

/**
 * Reads a body of exactly one JSON object as it arrives, and gathers what decisions are made on. It never looks back,
 * and jumps over the strings that it needs nothing of, so an image holds up nobody. What is in those is Ollama's to
 * judge: Go checks all of a body before it binds any of it, and sees the same quotes end them.
 */
export class JsonReader {
  #refusal: RefusalCode | undefined;
  #next = outset;
  #depth = 0;
  readonly #containers: Container[] = [];
  /** What is known of the value at hand, or of the one that comes next. */
  #field: Field | undefined = outermost;
  /** Of a field that is reported. */
  #path = '';
  /** Bytes before the chunk at hand. */
  #offset = 0;
  #token: Token = 'none';
  /** Where it begins in the body, behind its quote. */
  #start = 0;
  /** How long it may be to be of use, in bytes; 0 when nobody needs it. */
  #wanted = 0;
  /** What there was of it in earlier chunks. */
  #kept: Buffer | undefined;
  /** What the chunk before ended with was an odd number of backslashes in a string. */
  #escaped = false;
  /** How far a number or word has come. */
  #state = 0;
  readonly #findings = new Findings();

  /** Why the body cannot be taken, as soon as that is clear. */
  get refusal(): RefusalCode | undefined {
    return this.#refusal;
  }

  write(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#refusal === undefined; ) {
      if (this.#token === 'none') at = this.#readStructure(chunk, at);
      else if (this.#token === 'scalar') at = this.#readScalar(chunk, at);
      else at = this.#readString(chunk, at);
    }
    this.#offset += chunk.length;
  }

  /** What the body says, when there is no more of it. */
  end(): { readonly facts: BodyFacts } | { readonly refusal: RefusalCode } {
    if (this.#next !== 0) this.#refuse('bad-json');
    if (this.#refusal !== undefined) return { refusal: this.#refusal };
    return { facts: this.#findings.facts(this.#offset) };
  }

  #refuse(code: RefusalCode): void {
    this.#refusal ??= code;
  }

  /** Goes on to the next key or value, and gives the place where that is read on from. */
  #readStructure(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length && this.#refusal === undefined; at++) {
      const byte = chunk[at];
      const next = this.#next;
      if (byte === space || byte === lineFeed || byte === carriageReturn || byte === tab) continue;
      if (byte === quote && next & (key | value)) {
        this.#beginString(at + 1);
        return at + 1;
      }
      if (byte === comma && next & separator) this.#separate();
      else if (byte === colon && next === afterKey) this.#next = value;
      else if (byte === openBrace && next & (value | outset)) this.#open(true, at);
      else if (byte === openBracket && next & value) this.#open(false, at);
      else if (byte === closeBrace && next & close) this.#close(true, at + 1);
      else if (byte === closeBracket && next & close) this.#close(false, at + 1);
      else if (next & value) {
        this.#begin('scalar', at, this.#field?.reported ? maxValueBytes : 0);
        return at;
      } else this.#refuse('bad-json');
    }
    return chunk.length;
  }

  #separate(): void {
    const container = this.#containers[this.#depth - 1];
    this.#next = container?.isObject ? key : value;
    this.#field = container?.field?.items;
  }

  #open(isObject: boolean, at: number): void {
    if (this.#depth === maxDepth) this.#refuse('bad-json');
    if (this.#field?.kinds?.includes(isObject ? 'object' : 'array') === false) this.#refuse('bad-field');
    this.#containers[this.#depth] ??= new Container();
    this.#containers[this.#depth]?.begin(isObject, this.#field, this.#path, this.#offset + at);
    this.#depth += 1;
    this.#next = close | (isObject ? key : value);
    this.#field = this.#field?.items;
  }

  #close(isObject: boolean, at: number): void {
    const container = this.#containers[this.#depth - 1];
    if (container?.isObject !== isObject) {
      this.#refuse('bad-json');
      return;
    }
    const empty = (this.#next & (key | value)) !== 0;
    this.#depth -= 1;
    this.#next = this.#depth === 0 ? 0 : separator | close;
    this.#field = container.field;
    this.#path = container.path;
    const end = this.#offset + at;
    this.#found(isObject ? 'object' : 'array', undefined, container.start, end, empty);
  }

  #begin(token: Token, at: number, wanted: number): void {
    this.#token = token;
    this.#start = this.#offset + at;
    this.#wanted = wanted;
    this.#kept = undefined;
    this.#escaped = false;
    this.#state = 0;
  }

  #beginString(at: number): void {
    const isKey = (this.#next & key) !== 0;
    const counts = this.#containers[this.#depth - 1]?.field?.members !== undefined;
    if (isKey) this.#begin('key', at, counts ? maxKeyBytes : 0);
    else this.#begin('string', at, this.#field?.reported || this.#field?.toolType ? maxValueBytes : 0);
  }

  /** Goes on to the end of the string, and gives the place after its quote. */
  #readString(chunk: Buffer, from: number): number {
    for (let at = from; ; ) {
      const found = chunk.indexOf(quote, at);
      const end = found === -1 ? chunk.length : found;
      let backslashes = 0;
      while (end - backslashes > at && chunk[end - backslashes - 1] === backslash) backslashes += 1;
      if (this.#escaped && backslashes === end - at) backslashes += 1;
      const odd = backslashes % 2 === 1;
      this.#escaped = found === -1 && odd;
      if (found === -1) {
        this.#keep(chunk);
        return chunk.length;
      }
      if (!odd) {
        this.#endString(chunk, end);
        return end + 1;
      }
      at = found + 1;
    }
  }

  /** Goes on to the end of the number or word, and gives the place after it. */
  #readScalar(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const state = scalarStep(this.#state, chunk[at] as number);
      if (state === 0) {
        this.#endScalar(chunk, at);
        return at;
      }
      this.#state = state;
    }
    this.#keep(chunk);
    return chunk.length;
  }

  /** Keeps what this chunk has of a key or value that is wanted, and goes on in the next one. */
  #keep(chunk: Buffer): void {
    if (this.#isOfUse(this.#offset + chunk.length)) this.#kept = this.#gathered(chunk, chunk.length);
    else this.#kept = undefined;
  }

  /** Whether what is at hand is wanted, and not too long by now; a key, or what a decision relies on, must not be. */
  #isOfUse(end: number): boolean {
    if (this.#wanted === 0) return false;
    if (end - this.#start <= this.#wanted) return true;
    if (this.#token === 'key') this.#refuse('bad-json');
    else if (this.#field?.kinds !== undefined) this.#refuse('bad-field');
    return false;
  }

  /** A copy of what there is so far of what is at hand: a part of the chunk would hold on to all of it. */
  #gathered(chunk: Buffer, end: number): Buffer {
    const part = chunk.subarray(Math.max(0, this.#start - this.#offset), end);
    return Buffer.concat(this.#kept === undefined ? [part] : [this.#kept, part]);
  }

  #endString(chunk: Buffer, at: number): void {
    const isKey = this.#token === 'key';
    const isOfUse = this.#isOfUse(this.#offset + at);
    this.#token = 'none';
    this.#next = isKey ? afterKey : separator | close;
    if (this.#refusal !== undefined) return;
    const text = isOfUse ? this.#text(chunk, at) : null;
    if (text === undefined) this.#refuse('bad-json');
    else if (isKey) this.#foundKey(text);
    else this.#found('string', text ?? undefined, this.#start - 1, this.#offset + at + 1);
  }

  /** See `unquoted`. */
  #text(chunk: Buffer, end: number): string | null | undefined {
    const start = this.#start - this.#offset;
    if (start >= 0) return unquoted(chunk, start, end);
    const raw = this.#gathered(chunk, end);
    return unquoted(raw, 0, raw.length);
  }

  #endScalar(chunk: Buffer, at: number): void {
    const kind = scalarEnd(this.#state);
    const end = this.#offset + at;
    this.#token = 'none';
    this.#next = separator | close;
    if (kind === undefined || end - this.#start > maxValueBytes) this.#refuse('bad-json');
    else if (this.#field !== undefined) {
      const text = this.#wanted === 0 ? undefined : this.#gathered(chunk, at).toString('latin1');
      this.#found(kind, text === undefined ? undefined : JSON.parse(text), this.#start, end);
    }
  }

  /** A key; null where keys do not count, or when it is no text. */
  #foundKey(text: string | null): void {
    const container = this.#containers[this.#depth - 1];
    const { members, others } = container?.field ?? {};
    this.#field = undefined;
    if (container === undefined || members === undefined) return;
    if (text === null || container.keys.size === maxKeys) {
      this.#refuse('bad-json');
      return;
    }
    const known = members.get(text);
    if (container.keys.has(text) || (known === undefined && members.has(folded(text)))) this.#refuse('ambiguous-json');
    container.keys.add(text);
    this.#field = known ?? others;
    if (this.#field?.reported) this.#path = container.path === '' ? text : `${container.path}.${text}`;
  }

  /** A value that is at its end. */
  #found(kind: Kind, value: Value['value'], start: number, end: number, empty?: boolean): void {
    if (this.#field === undefined) return;
    const found = empty === undefined ? { kind, value, start, end } : { kind, value, start, end, empty };
    const problem = this.#findings.add(this.#field, this.#path, found);
    if (problem !== undefined) this.#refuse(problem);
  }
}
