import type { BodyEdit, BodyFacts } from '../body/facts.ts';
import type { WritingPath } from '../routes.ts';
import { maxOutputTokens } from './policyDocument.ts';

/**
 * Where a request bounds its answer's tokens. The first field is the one that Ollama acts on; the others are there for
 * clients that name those (openai.go at fb30760 does not read `max_completion_tokens`).
 */
type Fields = readonly [acted: string, ...others: string[]];

const fields: Readonly<Record<string, Fields>> = {
  '/api/generate': ['options.num_predict'],
  '/api/chat': ['options.num_predict'],
  '/v1/chat/completions': ['max_tokens', 'max_completion_tokens'],
  '/v1/completions': ['max_tokens'],
  '/v1/responses': ['max_output_tokens'],
  '/v1/messages': ['max_tokens'],
} satisfies Record<WritingPath, Fields>;

/** The fields that bound the answer of a path, the one that Ollama acts on first; none when nothing does. */
export function outputFields(path: string): readonly string[] {
  return fields[path] ?? [];
}

/**
 * The tokens that a field bounds the answer to; undefined when it does not. Ollama cuts fractions off; below 0 is
 * unlimited, and so is 0, which its runner is not even sent for `/api/generate` (llama_server.go, `n_predict`).
 */
export function boundAt({ values }: BodyFacts, field: string): number | undefined {
  const value = values.get(field)?.value;
  const bound = typeof value === 'number' ? Math.trunc(value) : 0;
  return bound > 0 && bound <= maxOutputTokens ? bound : undefined;
}

/**
 * Puts a bound on the answer where Ollama acts on it, unless the request has one there: the one it names elsewhere, but
 * no more than `max`. Nothing is put in on a path whose answer cannot be bounded.
 */
export function boundOutput(path: string, facts: BodyFacts, max: number): readonly BodyEdit[] {
  const [field] = outputFields(path);
  if (field === undefined || boundAt(facts, field) !== undefined) return [];
  return [{ path: field, json: String(Math.min(max, largestBound(path, facts) ?? max)) }];
}

/** The largest bound that a request names, in whichever field; undefined when it names none. */
export function largestBound(path: string, facts: BodyFacts): number | undefined {
  const bounds = outputFields(path).flatMap((field) => boundAt(facts, field) ?? []);
  return bounds.length === 0 ? undefined : Math.max(...bounds);
}
