import type { BodyEdit, CheckedBody, Value } from './facts.ts';
import { JsonReader } from './jsonReader.ts';

type Values = ReadonlyMap<string, Value>;

/** Text that takes the place of bytes of a body; of none where it is put in between. */
interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: Buffer;
  /** What is in the text, with places in the text. */
  readonly values: Values;
}

/**
 * Puts values into a JSON body: over those that are there, else as the first members of their object. `options` is made
 * where there is none. The rest of the body is not copied. The facts are those of the new body.
 *
 * @param edits of different paths, and not of `options` beside a member of it; images are not edited.
 * @throws Error when that is not so, or an edit holds no value that a body may have at its path.
 */
export function editBody(body: CheckedBody, edits: readonly BodyEdit[]): CheckedBody {
  if (edits.length === 0) return body;
  const { parts, length, facts } = body;
  const splices = splicesOf(facts.values, edits).sort((a, b) => a.start - b.start);
  const growth = splices.reduce((sum, splice) => sum + growthOf(splice), 0);
  const values = splicedValues(facts.values, splices);
  // A field that is not a fact may be in the body already.
  const unknown = edits.find(({ path }) => !values.has(path));
  if (unknown !== undefined) throw new Error(`No such field: ${unknown.path}`);
  return {
    ...body,
    parts: splicedParts(parts, splices),
    length: length + growth,
    facts: { ...facts, values, textBytes: facts.textBytes + growth },
  };
}

const optionsPrefix = 'options.';

const isOption = ({ path }: BodyEdit): boolean => path.startsWith(optionsPrefix);

const keyOf = (edit: BodyEdit): string => (isOption(edit) ? edit.path.slice(optionsPrefix.length) : edit.path);

const member = (edit: BodyEdit): string => `${JSON.stringify(keyOf(edit))}:${edit.json}`;

function splicesOf(values: Values, edits: readonly BodyEdit[]): Splice[] {
  const hasOptions = values.get('options')?.kind === 'object';
  const options = hasOptions ? [] : edits.filter(isOption);
  const made = options.length === 0 ? [] : [{ path: 'options', json: `{${options.map(member)}}` }];
  const all = [...edits.filter((edit) => !options.includes(edit)), ...made];
  const absent = all.filter(({ path }) => !values.has(path));
  return [
    ...all.flatMap((edit) => replacement(values.get(edit.path), edit)),
    ...insertion(
      values.get(''),
      absent.filter((edit) => !isOption(edit)),
      '{',
      '}',
    ),
    ...insertion(values.get('options'), absent.filter(isOption), '{"options":{', '}}'),
  ];
}

function replacement(before: Value | undefined, edit: BodyEdit): Splice[] {
  if (before === undefined) return [];
  const [open, close] = isOption(edit) ? ['{"options":{', '}}'] : ['{', '}'];
  const values = valuesIn(`${open}${JSON.stringify(keyOf(edit))}:`, edit.json, close);
  return [{ start: before.start, end: before.end, text: Buffer.from(edit.json), values }];
}

function insertion(object: Value | undefined, edits: readonly BodyEdit[], open: string, close: string): Splice[] {
  if (object === undefined || edits.length === 0) return [];
  const members = edits.map(member).join();
  const start = object.start + 1;
  const text = Buffer.from(object.empty ? members : `${members},`);
  return [{ start, end: start, text, values: valuesIn(open, members, close) }];
}

/** The values in a text, as the reader of bodies sees them in a body that begins and ends like this. */
function valuesIn(open: string, text: string, close: string): Values {
  const reader = new JsonReader();
  reader.write(Buffer.from(open + text + close));
  const read = reader.end();
  if ('refusal' in read) throw new Error(`No body may have this: ${text}`);
  const from = Buffer.byteLength(open);
  const to = from + Buffer.byteLength(text);
  const inText = [...read.facts.values].filter(([, { start, end }]) => start >= from && end <= to);
  return new Map(inText.map(([path, value]) => [path, moved(value, -from)]));
}

function moved(value: Value, by: number, endBy = by): Value {
  return { ...value, start: value.start + by, end: value.end + endBy };
}

const growthOf = ({ start, end, text }: Splice): number => text.length - (end - start);

/** The values of a body after splices, in order. */
function splicedValues(values: Values, splices: readonly Splice[]): Values {
  const growthUpTo = (at: number) =>
    splices.reduce((sum, splice) => (splice.end <= at ? sum + growthOf(splice) : sum), 0);
  const all = new Map<string, Value>();
  for (const [path, value] of values) {
    const isFilled = value.empty && splices.some(({ start }) => start === value.start + 1);
    all.set(path, moved(isFilled ? { ...value, empty: false } : value, growthUpTo(value.start), growthUpTo(value.end)));
  }
  let grown = 0;
  for (const splice of splices) {
    for (const [path, value] of splice.values) all.set(path, moved(value, splice.start + grown));
    grown += growthOf(splice);
  }
  return all;
}

/** The bytes of a body after splices, in order. */
function splicedParts(parts: readonly Buffer[], splices: readonly Splice[]): readonly Buffer[] {
  const spliced: Buffer[] = [];
  let at = 0;
  for (const { start, end, text } of splices) {
    if (start < at) throw new Error('Two edits are of the same place');
    spliced.push(...slices(parts, at, start), text);
    at = end;
  }
  spliced.push(...slices(parts, at, Number.POSITIVE_INFINITY));
  return spliced;
}

/** What lies between two places, without a copy. */
function slices(parts: readonly Buffer[], from: number, to: number): Buffer[] {
  const between: Buffer[] = [];
  let start = 0;
  for (const part of parts) {
    const slice = part.subarray(Math.max(0, from - start), Math.max(0, Math.min(part.length, to - start)));
    if (slice.length > 0) between.push(slice);
    start += part.length;
  }
  return between;
}
