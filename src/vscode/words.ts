import { env, l10n } from 'vscode';
import { GuardError } from '../guard/errors.ts';
import type { Message } from '../guard/message.ts';

/** A message from the guard in the person's language. What is wrong with a setting is a sentence of its own. */
export function inWords({ text, args }: Message): string {
  const { problem } = args;
  const said = problem === undefined ? args : { ...args, problem: l10n.t(String(problem)) };
  return l10n.t(text, Object.fromEntries(Object.entries(said).map(([name, value]) => [name, withoutLinks(value)])));
}

/** VS Code makes links of `[…](…)` in notifications, and runs commands by them; others' words must not hold any. */
function withoutLinks(value: string | number): string | number {
  return typeof value === 'string' ? value.replaceAll('](', '] (') : value;
}

/** An error in words; undefined when it is not one that was foreseen. */
export function errorWords(error: unknown): string | undefined {
  return GuardError.is(error) ? inWords(error.detail) : undefined;
}

const toMinutes = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
] as const;
const toSeconds = [...toMinutes, ['second', 1_000]] as const;

/** The largest unit that fits twice into so many milliseconds, so that rounding is small, and how often; else the last. */
function inUnits<Unit>(milliseconds: number, units: readonly (readonly [unit: Unit, size: number])[]) {
  const [unit, size] = (units.find((candidate) => milliseconds >= 2 * candidate[1]) ??
    units.at(-1)) as (typeof units)[0];
  return { count: Math.round(milliseconds / size), unit };
}

/** How long ago something was, such as `5 min. ago`. */
export function ago(at: number, now = Date.now()): string {
  const { count, unit } = inUnits(Math.max(0, now - at), toMinutes);
  return new Intl.RelativeTimeFormat(env.language, { style: 'short', numeric: 'auto' }).format(-count, unit);
}

/** A time span that goes on, such as `12 sec`. */
export function span(milliseconds: number): string {
  const { count, unit } = inUnits(Math.max(0, milliseconds), toSeconds);
  return inUnit(count, unit);
}

/** How long something took, such as `5 ms` or `1.7 sec`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1_000) return inUnit(milliseconds, 'millisecond');
  return milliseconds < 10_000 ? inUnit(Math.round(milliseconds / 100) / 10, 'second') : span(milliseconds);
}

function inUnit(count: number, unit: string): string {
  return new Intl.NumberFormat(env.language, { style: 'unit', unit, unitDisplay: 'short' }).format(count);
}

/** A moment in the person's own form. */
export function moment(at: number | string): string {
  return new Date(at).toLocaleString(env.language, { dateStyle: 'medium', timeStyle: 'short' });
}

/** The day of a moment in the person's own form. */
export function day(at: number): string {
  return new Date(at).toLocaleDateString(env.language, { dateStyle: 'medium' });
}

/** `1 user`, `2 users`: texts for one and for several, of which the second has `{0}`. */
export function counted(count: number, one: string, several: (count: string) => string): string {
  return count === 1 ? one : several(count.toLocaleString(env.language));
}
