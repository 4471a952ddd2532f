import type { RefusalCode } from '../answers.ts';
import { type PartHeaders, readPartHeaders } from './partHeaders.ts';
import { Pieces } from './pieces.ts';

/** How many parts a form may have, and how long the headers of one may be, in bytes. */
const maxParts = 32;
const maxHeaderBytes = 1_024;

const nothing = Buffer.alloc(0);
const endOfLine = Buffer.from('\r\n');
const endOfHeaders = Buffer.from('\r\n\r\n');

/** A field of a form. */
export interface Part extends PartHeaders {
  readonly content: Pieces;
}

/** What comes next: a part or, before the first one, nothing; then what ends it; then headers, or the end of the form. */
type Step = 'content' | 'delimiter' | 'headers' | 'over';

/**
 * Takes a form apart as it arrives: RFC 2046 §5.1. Stricter than that, since what browsers and clients write is: there
 * is nothing before the first part and after the last, and no line of a part begins like its boundary.
 */
export class MultipartReader {
  readonly #delimiter: Buffer;
  readonly #parts: Part[] = [];
  /** What came and is not read yet. The first delimiter has no line before it that it ends. */
  #rest: Buffer = endOfLine;
  #step: Step = 'content';
  #refusal: RefusalCode | undefined;

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`);
  }

  /** Why the form cannot be taken, as soon as that is clear. */
  get refusal(): RefusalCode | undefined {
    return this.#refusal;
  }

  write(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (let from = -1; at !== from && this.#refusal === undefined; ) {
      from = at;
      at = this.#read(bytes, at);
    }
    this.#rest = at === bytes.length ? nothing : bytes.subarray(at);
  }

  /** The fields, when there is no more of the form. */
  end(): { readonly parts: readonly Part[] } | { readonly refusal: RefusalCode } {
    if (this.#step !== 'over') this.#refusal ??= 'bad-body';
    return this.#refusal === undefined ? { parts: this.#parts } : { refusal: this.#refusal };
  }

  /** Goes one step on, and gives the place after it: the same one when more has to come first. */
  #read(bytes: Buffer, at: number): number {
    if (this.#step === 'content') return this.#readContent(bytes, at);
    if (this.#step === 'delimiter') return this.#readDelimiter(bytes, at);
    if (this.#step === 'headers') return this.#readHeaders(bytes, at);
    if (!endOfLine.subarray(0, bytes.length - at).equals(bytes.subarray(at))) this.#refusal = 'bad-body';
    return at;
  }

  #readContent(bytes: Buffer, at: number): number {
    const found = bytes.indexOf(this.#delimiter, at);
    const end = found === -1 ? Math.max(at, bytes.length - this.#delimiter.length + 1) : found;
    const content = bytes.subarray(at, end);
    const part = this.#parts.at(-1);
    if (content.length > 0 && part === undefined) this.#refusal = 'bad-body';
    else if (content.length > 0) part?.content.add(content);
    if (found === -1) return end;
    this.#step = 'delimiter';
    return end + this.#delimiter.length;
  }

  #readDelimiter(bytes: Buffer, at: number): number {
    if (bytes.length - at < 2) return at;
    const next = bytes.toString('latin1', at, at + 2);
    if (next === '--') this.#step = 'over';
    else if (next === '\r\n' && this.#parts.length < maxParts) this.#step = 'headers';
    else this.#refusal = 'bad-body';
    return at + 2;
  }

  #readHeaders(bytes: Buffer, at: number): number {
    const found = bytes.indexOf(endOfHeaders, at);
    const end = found === -1 ? bytes.length : found;
    if (end - at > maxHeaderBytes) this.#refusal = 'bad-body';
    if (found === -1 || this.#refusal !== undefined) return at;
    const headers = readPartHeaders(bytes.subarray(at, end));
    if (headers === undefined) {
      this.#refusal = 'bad-body';
      return at;
    }
    this.#parts.push({ ...headers, content: new Pieces() });
    this.#step = 'content';
    return end + endOfHeaders.length;
  }
}
