import type { Readable } from 'node:stream';

/** A longer name is nobody's model. */
const maxModelBytes = 256;

/**
 * A body whose model did not show after this much work is left alone: it must not hold up the streams of others. A byte
 * outside of strings counts once; a quote and a text that is kept count by what they take beside that.
 */
const maxWork = 500_000;
const quoteWork = 10;
const textWork = 100;

const quote = 0x22;
const backslash = 0x5c;
const [openBrace, openBracket, closeBrace, closeBracket, comma] = [...Buffer.from('{[}],')];
const nothing = Buffer.alloc(0);
const whitespace: ReadonlySet<number | undefined> = new Set(Buffer.from(' \t\r\n'));

/**
 * Finds the model that a request body names, as the body flows by: the first string at `model`, else at `name`, in the
 * outermost object. It is for display, so it takes no memory to speak of, jumps over strings (images are long ones),
 * and gives up quietly on whatever is not the JSON it expects. Whether a body is JSON is seen by its first byte:
 * Ollama does not ask for the content type, and curl names another.
 */
export class ModelScanner {
  #done = false;
  #model: string | undefined;
  #name: string | undefined;
  #depth = 0;
  #work = 0;
  #inString = false;
  /** What the chunk before ended with was an odd number of backslashes in a string. */
  #escaped = false;
  /** The key in the outermost object whose value comes next; undefined where a key is expected. */
  #key: string | undefined;
  /** What is between the quotes so far, while it may be of interest. */
  #raw: Buffer | undefined;

  /** Whether there is nothing more to find. */
  get done(): boolean {
    return this.#done;
  }

  /** The model, once it was found. */
  get model(): string | undefined {
    return this.#model;
  }

  write(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && !this.#done; ) {
      at = this.#inString ? this.#readString(chunk, at) : this.#readStructure(chunk, at);
    }
  }

  /** Goes on to the next string, and gives the place after its quote. */
  #readStructure(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      if (!this.#mayGoOn(1)) return at;
      const byte = chunk[at];
      if (this.#depth === 0 && byte !== openBrace && !whitespace.has(byte)) {
        this.#done = true;
        return at;
      }
      if (byte === quote) {
        this.#inString = true;
        this.#raw = this.#isOfInterest() ? nothing : undefined;
        return at + 1;
      }
      if (byte === openBrace || byte === openBracket) this.#depth += 1;
      else if (byte === closeBrace || byte === closeBracket) {
        this.#depth -= 1;
        if (this.#depth === 0) {
          this.#find(this.#name);
          return at;
        }
      } else if (byte === comma) this.#key = undefined;
    }
    return chunk.length;
  }

  /** Goes on to the end of the string, and gives the place after its quote. */
  #readString(chunk: Buffer, from: number): number {
    for (let at = from; ; ) {
      const found = chunk.indexOf(quote, at);
      if (found !== -1 && !this.#mayGoOn(quoteWork)) return found;
      const end = found === -1 ? chunk.length : found;
      let backslashes = 0;
      while (end - backslashes > at && chunk[end - backslashes - 1] === backslash) backslashes += 1;
      if (this.#escaped && backslashes === end - at) backslashes += 1;
      this.#escaped = found === -1 && backslashes % 2 === 1;
      if (found === -1 || backslashes % 2 === 0) {
        this.#keep(chunk.subarray(from, end));
        if (found === -1) return chunk.length;
        this.#inString = false;
        this.#endString();
        return found + 1;
      }
      at = found + 1;
    }
  }

  #isOfInterest(): boolean {
    return this.#depth === 1 && (this.#key === undefined || this.#key === 'model' || this.#key === 'name');
  }

  #keep(part: Buffer): void {
    if (this.#raw === undefined) return;
    // A copy: a part of the chunk would hold on to all of it.
    this.#raw = this.#raw.length + part.length > maxModelBytes ? undefined : Buffer.concat([this.#raw, part]);
  }

  #endString(): void {
    if (this.#depth !== 1 || !this.#mayGoOn(textWork)) return;
    const text = unquoted(this.#raw);
    this.#raw = undefined;
    if (this.#key === undefined) this.#key = text;
    else if (this.#key === 'model' && text !== '') this.#find(text);
    else if (this.#key === 'name' && text !== '') this.#name ??= text;
  }

  #find(model: string | undefined): void {
    this.#model = model;
    this.#done = true;
  }

  #mayGoOn(work: number): boolean {
    this.#work += work;
    if (this.#work > maxWork) this.#done = true;
    return !this.#done;
  }
}

/** The text of a JSON string without its quotes; empty when it is none. */
function unquoted(raw: Buffer | undefined): string {
  if (raw === undefined) return '';
  try {
    return JSON.parse(`"${raw}"`);
  } catch {
    return '';
  }
}

/** Calls back once with the model, if the body names one. Call it when the body's reader is attached. */
export function watchModel(body: Readable, onModel: (model: string) => void): void {
  const scanner = new ModelScanner();
  const scan = (chunk: Buffer) => {
    scanner.write(chunk);
    if (!scanner.done) return;
    body.off('data', scan);
    if (scanner.model !== undefined) onModel(scanner.model);
  };
  body.on('data', scan);
}
