import type { RefusalCode } from '../answers.ts';
import type { BodyEdit, BodyFacts, Value } from '../body/facts.ts';
import { parseDuration } from '../share/duration.ts';
import type { Clamped, Rule } from './decision.ts';
import { endOfGoTime, parseGoDuration } from './goDuration.ts';
import { boundAt, boundOutput, outputFields } from './outputFields.ts';
import type { Clamps } from './policyDocument.ts';

/** Why a body is refused; the rule's place is the one within its role. */
export interface Refused {
  readonly refusal: RefusalCode;
  readonly rule: Rule;
}

/** What the request asks too much of, and what it gets in its place. */
interface Excess {
  readonly rule: Rule;
  readonly edit: BodyEdit;
}

type Finding = Refused | Excess;

/** One clamp: what it finds in a body, nothing when all is within it. */
type Clamp = (clamps: Clamps, path: string, facts: BodyFacts) => readonly Finding[];

const inOrder: readonly Clamp[] = [clampKeepAlive, clampImages, clampContext, clampOutput, clampOptions];

/**
 * Holds a body to what its role may ask for. What asks for more is cut down to what is allowed, or refused where the
 * policy says so; too many images are always refused, because fewer of them would be another question, and so are
 * parameters of a model that is made, because it would be another model, and the call that does nothing but unload a
 * shared model (SEC-39).
 *
 * An answer that the request does not bound is bounded, which is neither refused nor reported: it asked for no length.
 */
export function clampBody(clamps: Clamps, path: string, facts: BodyFacts): Clamped | Refused {
  const findings = inOrder.flatMap((clamp) => clamp(clamps, path, facts));
  const refused = findings.find((finding) => 'refusal' in finding);
  if (refused !== undefined) return refused;
  const excesses = findings.filter((finding) => 'edit' in finding);
  const [first] = excesses;
  if (first !== undefined && clamps.excess === 'refuse') return { refusal: 'over-clamp', rule: first.rule };
  // By path, so that an option that is both too large and not allowed at all is edited once.
  const edits = new Map(excesses.map(({ edit }) => [edit.path, edit]));
  if (clamps.outputTokens !== undefined) {
    for (const edit of boundOutput(path, facts, clamps.outputTokens)) {
      if (!edits.has(edit.path)) edits.set(edit.path, edit);
    }
  }
  return { edits: [...edits.values()], clamped: reported(excesses.map(({ edit }) => edit.path)) };
}

/** Makes models, whose parameters are options in all that is asked of them. */
const createPath = '/api/create';

/** What a header may hold of a path: a client chooses the names of options. */
const safePath = /^[A-Za-z0-9_.]{1,64}$/;
const maxReported = 16;

/** The paths to report; options whose names are of no use in a header, or too many, are reported as a whole. */
function reported(paths: readonly string[]): readonly string[] {
  const safe = paths.map((path) => (safePath.test(path) ? path : 'options'));
  const unique = [...new Set(safe)];
  return unique.length <= maxReported ? unique : [...unique.slice(0, maxReported), 'options'];
}

const over = (place: string, says: string | number, path: string, json: string | number): Excess => ({
  rule: { place: `clamps.${place}`, says: String(says) },
  edit: { path, json: String(json) },
});

const refusedBy = (refusal: RefusalCode, place: string, says: string | number): Refused => ({
  refusal,
  rule: { place: `clamps.${place}`, says: String(says) },
});

/** Where a request has options, which those it makes a model of keep for every request that names no others. */
const optionsOf = (path: string): string => (path === createPath ? 'parameters.' : 'options.');

/** What is asked too much of at a field of the body: too much for the model that is made, or for this one answer. */
const overAt = (path: string, place: string, says: string | number, field: string, json: string | number): Finding =>
  path === createPath ? refusedBy('over-clamp', place, says) : over(place, says, field, json);

/** Whether something stands there. Ollama takes null for nothing. */
const isThere = (value: Value | undefined): value is Value => value !== undefined && value.kind !== 'null';

/** What loads or unloads a model when it is empty, by path: the calls that do nothing else (routes.go). */
const promptOf: Readonly<Record<string, string>> = { '/api/generate': 'prompt', '/api/chat': 'messages' };

function isPromptless(path: string, { values }: BodyFacts): boolean {
  const field = promptOf[path];
  if (field === undefined) return false;
  const prompt = values.get(field);
  return !isThere(prompt) || prompt.value === '' || prompt.empty === true;
}

/** 285 years: a number of seconds that Go can hold, whatever time the policy names. */
const maxSeconds = 9_000_000_000;

const secondsOf = (duration: string): number => Math.min(maxSeconds, (parseDuration(duration) ?? 0) / 1_000);

/** Nanoseconds that a model is to stay, as `Duration.UnmarshalJSON` of Ollama's api/types.go reads them. */
function keepAliveNs(value: Value['value']): number | undefined {
  const ns = typeof value === 'number' ? Math.trunc(value * 1e9) : parseGoDuration(String(value));
  const negative = typeof value === 'number' ? value < 0 : ns !== undefined && ns < 0;
  if (negative) return Number.POSITIVE_INFINITY;
  // What a larger number is depends on the processor: on most it turns negative, and the model is unloaded.
  return ns !== undefined && ns < endOfGoTime ? ns : undefined;
}

function clampKeepAlive({ keepAlive }: Clamps, path: string, facts: BodyFacts): readonly Finding[] {
  const asked = facts.values.get('keep_alive');
  if (keepAlive === undefined || !isThere(asked)) return [];
  const { min = '0', max } = keepAlive;
  const ns = keepAliveNs(asked.value);
  if (ns === undefined) return [refusedBy('bad-field', 'keepAlive', JSON.stringify(keepAlive))];
  const least = secondsOf(min);
  if (ns === 0 && least > 0 && isPromptless(path, facts)) {
    return [refusedBy('unload-not-permitted', 'keepAlive.min', min)];
  }
  const most = max === undefined ? Number.POSITIVE_INFINITY : secondsOf(max);
  if (max !== undefined && ns > most * 1e9) return [over('keepAlive.max', max, 'keep_alive', most)];
  // A policy whose min is above its max means the max.
  const raised = Math.min(least, most);
  return ns < raised * 1e9 ? [over('keepAlive.min', min, 'keep_alive', raised)] : [];
}

function clampImages({ images, imageBytes }: Clamps, _path: string, facts: BodyFacts): readonly Finding[] {
  return [
    ...(images !== undefined && facts.images.count > images ? [refusedBy('over-clamp', 'images', images)] : []),
    ...(imageBytes !== undefined && facts.images.bytes > imageBytes
      ? [refusedBy('over-clamp', 'imageBytes', imageBytes)]
      : []),
  ];
}

function clampContext({ contextTokens: max }: Clamps, path: string, { values }: BodyFacts): readonly Finding[] {
  const field = `${optionsOf(path)}num_ctx`;
  const asked = values.get(field);
  if (max === undefined || !isThere(asked)) return [];
  if (typeof asked.value !== 'number') return [refusedBy('bad-field', 'contextTokens', max)];
  return asked.value > max ? [overAt(path, 'contextTokens', max, field, max)] : [];
}

function clampOutput({ outputTokens: max }: Clamps, path: string, facts: BodyFacts): readonly Finding[] {
  if (max === undefined) return [];
  const fields = path === createPath ? [`${optionsOf(path)}num_predict`] : outputFields(path);
  return fields.flatMap((field): readonly Finding[] => {
    const asked = facts.values.get(field);
    if (!isThere(asked)) return [];
    if (typeof asked.value !== 'number') return [refusedBy('bad-field', 'outputTokens', max)];
    // One that bounds nothing asks for an answer without an end.
    const bound = boundAt(facts, field) ?? Number.POSITIVE_INFINITY;
    return bound > max ? [overAt(path, 'outputTokens', max, field, max)] : [];
  });
}

/** Ollama has about twenty options; who sends this many others is not asking for an answer. */
const maxRemoved = 64;

/**
 * Null is what Ollama skips (`Options.FromMap`). The answer's length is no option in this sense: a shorter one harms
 * nobody, `outputTokens` bounds it, and without it the answer would be longer than was counted on.
 */
function clampOptions({ options }: Clamps, path: string, { values }: BodyFacts): readonly Finding[] {
  if (options === undefined) return [];
  const prefix = optionsOf(path);
  const allowed = new Set([...options, 'num_predict'].map((name) => prefix + name));
  const says = options.join(' ');
  const excesses: Finding[] = [];
  for (const [field, value] of values) {
    if (!field.startsWith(prefix) || allowed.has(field) || !isThere(value)) continue;
    if (excesses.length === maxRemoved) return [refusedBy('over-clamp', 'options', says)];
    excesses.push(overAt(path, 'options', says, field, 'null'));
  }
  return excesses;
}
