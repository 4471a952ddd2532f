/** What stands at a place of a JSON body; `object` and `array` for what is not read itself. */
export type Kind = 'string' | 'number' | 'boolean' | 'null' | 'object' | 'array';

/** A value that the guard read, and where its text is in the body, in bytes. */
export interface Value {
  readonly kind: Kind;
  /** Undefined for objects and arrays, and for long strings where no decision relies on one, such as a prompt. */
  readonly value: string | number | boolean | null | undefined;
  readonly start: number;
  readonly end: number;
  /** Of objects and arrays: whether there is nothing in it. */
  readonly empty?: boolean;
}

/**
 * What the guard knows of a body that it read to its end, whatever dialect it is in. Decisions are made on this alone,
 * and what is sent to Ollama are the bytes that it was read from (SEC-31, SEC-32, SEC-38).
 */
export interface BodyFacts {
  /**
   * By path: the fields of the outermost object that decisions need, the members of `options` and `parameters` as
   * `options.num_ctx`, and the outermost object itself as the empty path.
   */
  readonly values: ReadonlyMap<string, Value>;
  /** Everything that is sent as an image, in any dialect; and audio, also in a form. Bytes as they are sent. */
  readonly images: { readonly count: number; readonly bytes: number };
  /** The `type` of every member of `tools`, each once. */
  readonly toolTypes: readonly string[];
  /** Bytes of text, images aside: what a prompt's tokens are estimated from before Ollama has counted them. */
  readonly textBytes: number;
}

/** A body that was read and may be sent. */
export interface CheckedBody {
  /** The body's bytes, one after the other. */
  readonly parts: readonly Buffer[];
  readonly length: number;
  readonly facts: BodyFacts;
  /** Of a form, which is written anew. */
  readonly contentType?: string;
}

/** Puts a value at a path, over what stands there or beside the other members; `json` is its text. */
export interface BodyEdit {
  /** A key of the outermost object, or `options.` and a key. */
  readonly path: string;
  readonly json: string;
}
