import type { RefusalCode } from '../../../src/guard/answers.ts';
import type { BodyFacts, CheckedBody } from '../../../src/guard/body/facts.ts';
import { JsonReader } from '../../../src/guard/body/jsonReader.ts';

/** Reads a body that arrives in these chunks. */
export function read(...chunks: readonly (string | Buffer)[]): { facts: BodyFacts } | { refusal: RefusalCode } {
  const reader = new JsonReader();
  for (const chunk of chunks) reader.write(Buffer.from(chunk));
  return reader.end();
}

/** Why a body is refused; undefined when it is taken. */
export function refusalOf(...chunks: readonly (string | Buffer)[]): RefusalCode | undefined {
  const outcome = read(...chunks);
  return 'refusal' in outcome ? outcome.refusal : undefined;
}

/** The facts of a body that has to be taken. */
export function factsOf(...chunks: readonly (string | Buffer)[]): BodyFacts {
  const outcome = read(...chunks);
  if ('refusal' in outcome) throw new Error(outcome.refusal);
  return outcome.facts;
}

/** A body as it is after it was read. */
export function checked(...chunks: readonly (string | Buffer)[]): CheckedBody {
  const parts = chunks.map((chunk) => Buffer.from(chunk));
  return { parts, length: Buffer.concat(parts).length, facts: factsOf(...chunks) };
}

/** A chunk that counts how often one of its bytes is looked at. */
export function counting(chunk: Buffer): { readonly chunk: Buffer; readonly count: () => number } {
  let looks = 0;
  const watched = new Proxy(chunk, {
    get: (target, name) => {
      if (typeof name === 'string' && /^\d+$/.test(name)) looks += 1;
      if (name === 'indexOf') {
        return (byte: number, from: number) => {
          const found = target.indexOf(byte, from);
          looks += (found === -1 ? target.length : found) - from;
          return found;
        };
      }
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  return { chunk: watched, count: () => looks };
}
