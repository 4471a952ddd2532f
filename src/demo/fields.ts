import { Refusal } from './refusal.ts';

/** The members of a JSON object under folded names: read them by their lower-case name. */
export type Fields = Readonly<Record<string, unknown>>;

const NONE: Fields = Object.freeze(Object.create(null));

/**
 * Reads an object the way Go binds one: names match without regard to case, and the last of several spellings wins.
 * Anything that is not an object is refused; null binds nothing.
 */
export function fieldsOf(value: unknown): Fields {
  if (value === null || value === undefined) return NONE;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new Refusal(400, `json: cannot unmarshal ${kindOf(value)} into an object`);
  }
  const fields: Record<string, unknown> = Object.create(null);
  for (const [name, member] of Object.entries(value)) fields[fold(name)] = member;
  return fields;
}

/** A text member; '' when it is absent or null, as in Go. Refused when it has another type. */
export function textOf(fields: Fields, name: string): string {
  const value = fields[name] ?? '';
  if (typeof value !== 'string') throw wrongType(name, value, 'string');
  return value;
}

/** A boolean member; undefined when it is absent or null. Refused when it has another type. */
export function flagOf(fields: Fields, name: string): boolean | undefined {
  const value = fields[name] ?? undefined;
  if (value !== undefined && typeof value !== 'boolean') throw wrongType(name, value, 'bool');
  return value;
}

/** A number member; undefined when it is absent or null. Refused when it has another type. */
export function numberOf(fields: Fields, name: string): number | undefined {
  const value = fields[name] ?? undefined;
  if (value !== undefined && typeof value !== 'number') throw wrongType(name, value, 'number');
  return value;
}

/** A list member; empty when it is absent or null. Refused when it has another type. */
export function listOf(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name] ?? [];
  if (!Array.isArray(value)) throw wrongType(name, value, 'array');
  return value;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * `keep_alive` in milliseconds: seconds as a number or a Go duration (`5m`, `1h30m`) in the request, Infinity when it
 * is negative, undefined when it is absent. Refuses a text that is no duration.
 */
export function keepAliveOf(fields: Fields): number | undefined {
  const value = fields.keep_alive ?? undefined;
  if (value === undefined) return undefined;
  const ms = typeof value === 'number' ? value * 1_000 : durationMs(String(value));
  return ms < 0 ? Number.POSITIVE_INFINITY : ms;
}

function durationMs(text: string): number {
  if (/^[+-]?0$/.test(text)) return 0;
  if (!/^[+-]?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) {
    throw new Refusal(400, `time: invalid duration ${JSON.stringify(text)}`);
  }
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    ms += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  }
  return text.startsWith('-') ? -ms : ms;
}

/** Upper case first: Go also matches the long s (U+017F) with s and the Kelvin sign with k. */
function fold(name: string): string {
  return name.toUpperCase().toLowerCase();
}

function wrongType(name: string, value: unknown, wanted: string): Refusal {
  return new Refusal(400, `json: cannot unmarshal ${kindOf(value)} into field ${name} of type ${wanted}`);
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? 'array' : typeof value;
}
