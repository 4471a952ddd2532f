import type { RefusalCode } from '../answers.ts';
import type { BodyFacts, Kind, Value } from './facts.ts';
import type { Field } from './fields.ts';

/** How many types of tools a body may name. */
const maxToolTypes = 64;

/** Of each tool Go writes what the client left out as well, in bytes (`Tool` in api/types.go). */
const emptyToolBytes = 100;

/** Gathers the facts of a JSON body from the values that are found where something is known. */
export class Findings {
  readonly #values = new Map<string, Value>();
  readonly #toolTypes = new Set<string>();
  #tools = 0;
  #images = 0;
  #imageBytes = 0;

  /**
   * @param path of a field that is reported.
   * @param value.value undefined also when it could not be read as a text.
   * @returns why a body that has this value here cannot be taken; undefined when it can.
   */
  add(field: Field, path: string, value: Value): RefusalCode | undefined {
    if (field.kinds !== undefined && !isOfKind(field.kinds, value)) return 'bad-field';
    if (field.reported) this.#values.set(path, value);
    if (field.image) this.#addImage(field, value);
    if (field.holdsImage && value.kind === 'object') this.#images += 1;
    if (field.ofImage && value.kind === 'string') this.#imageBytes += value.end - value.start - 2;
    if (field.tool && (value.kind === 'object' || value.kind === 'null')) this.#tools += 1;
    if (field.toolType && typeof value.value === 'string') this.#toolTypes.add(value.value);
    return this.#toolTypes.size > maxToolTypes ? 'bad-field' : undefined;
  }

  #addImage({ nullIsImage }: Field, { kind, start, end }: Value): void {
    if (kind !== 'string' && kind !== 'array' && !(kind === 'null' && nullIsImage)) return;
    this.#images += 1;
    if (kind !== 'null') this.#imageBytes += kind === 'string' ? end - start - 2 : end - start;
  }

  /** What was found in a body of so many bytes. */
  facts(bytes: number): BodyFacts {
    return {
      values: this.#values,
      images: { count: this.#images, bytes: this.#imageBytes },
      toolTypes: [...this.#toolTypes],
      textBytes: bytes - this.#imageBytes + this.#tools * emptyToolBytes,
    };
  }
}

function isOfKind(kinds: readonly Kind[], { kind, value }: Value): boolean {
  if (!kinds.includes(kind)) return false;
  if (kind === 'number') return Number.isFinite(value);
  return kind !== 'string' || value !== undefined;
}
