/** Where something stands in a text; both numbers begin at 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** What is wrong at a place of a JSON text, in a sentence. */
export class JsonTextError extends Error {
  override readonly name = 'JsonTextError';
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** What a person writes is never as deep. */
const deepest = 64;

const space = /[ \t\n\r]*/y;
/** With no control characters but DEL and those above it, which RFC 8259 §7 lets be. */
const quoted = /"(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/uy;
const plain = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/y;

/**
 * Checks a JSON text (RFC 8259), and says where what is in it stands. `JSON.parse` has a place for some errors alone, and
 * none for what is well written and wrong; it also takes a name that is there twice.
 *
 * @returns by path, such as `roles.member.can.0`, the offset of the item, or of the member with its name.
 * @throws JsonTextError
 */
export function jsonPlaces(text: string): ReadonlyMap<string, number> {
  return new Reader(text).read();
}

/** The place of an offset in a text. */
export function placeOf(text: string, offset: number): Place {
  const before = text.slice(0, offset).split(/\r\n|\n|\r/);
  return { line: before.length, column: (before.at(-1) ?? '').length + 1 };
}

class Reader {
  readonly #text: string;
  readonly #places = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): ReadonlyMap<string, number> {
    this.#value([]);
    this.#take(space);
    if (this.#at < this.#text.length) this.#missing('Nothing more');
    return this.#places;
  }

  #value(path: readonly (string | number)[]): void {
    if (path.length > deepest) this.#fail('This is nested too deeply.');
    if (this.#takes('{')) this.#members(path);
    else if (this.#takes('[')) this.#list(']', (index) => this.#item([...path, index]));
    else if (this.#take(quoted) === undefined && this.#take(plain) === undefined) this.#missing('A value');
  }

  #item(path: readonly (string | number)[]): void {
    this.#mark(path);
    this.#value(path);
  }

  #members(path: readonly (string | number)[]): void {
    const names = new Set<string>();
    this.#list('}', () => {
      this.#take(space);
      const start = this.#at;
      const name = this.#take(quoted);
      if (name === undefined) this.#missing('A name in double quotes');
      const key: string = JSON.parse(name);
      if (names.has(key)) this.#fail(`The name ${name} is there twice.`, start);
      names.add(key);
      this.#places.set([...path, key].join('.'), start);
      if (!this.#takes(':')) this.#missing('A colon');
      this.#value([...path, key]);
    });
  }

  #list(close: '}' | ']', one: (index: number) => void): void {
    if (this.#takes(close)) return;
    for (let index = 0; ; index += 1) {
      one(index);
      if (this.#takes(close)) return;
      if (!this.#takes(',')) this.#missing(`A comma or ${close}`);
    }
  }

  #mark(path: readonly (string | number)[]): void {
    this.#take(space);
    this.#places.set(path.join('.'), this.#at);
  }

  #takes(mark: string): boolean {
    this.#take(space);
    const isThere = this.#text.startsWith(mark, this.#at);
    if (isThere) this.#at += mark.length;
    return isThere;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const taken = pattern.exec(this.#text)?.[0];
    this.#at += taken?.length ?? 0;
    return taken;
  }

  /** Says what belongs here, and which habit from other notations it may be that is here instead. */
  #missing(what: string): never {
    const isComment = this.#text.startsWith('/', this.#at);
    const isAfterComma = this.#text.slice(0, this.#at).trimEnd().endsWith(',');
    const hint = isComment ? ' (comments cannot be in it)' : isAfterComma ? ', after a comma' : '';
    this.#fail(`${what} is expected here${hint}.`);
  }

  #fail(message: string, offset = this.#at): never {
    throw new JsonTextError(message, offset);
  }
}
