const unitsNs: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1_000,
  µs: 1_000, // U+00B5
  μs: 1_000, // U+03BC
  ms: 1_000_000,
  s: 1_000_000_000,
  m: 60_000_000_000,
  h: 3_600_000_000_000,
};

const whole = /^[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
const part = /([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)/g;

/** Nobody writes a longer one, and the digits of a fraction stay within what a number can hold. */
const maxLength = 128;

/** Go's durations are 64 bits of nanoseconds. */
export const endOfGoTime = 2 ** 63;

/**
 * Nanoseconds in a duration by the rules of Go's `time.ParseDuration`: `5m`, `1h30m`, `-1.5s`, `0`; undefined when it is
 * none, which a number without a unit is not (`-1`), nor one of more than 292 years.
 */
export function parseGoDuration(text: string): number | undefined {
  if (text.length > maxLength || !whole.test(text)) return undefined;
  let ns = 0;
  for (const [, digits = '', fraction = '', unit = ''] of text.matchAll(part)) {
    const unitNs = unitsNs[unit] ?? 0;
    ns += Number(digits) * unitNs + Math.trunc(Number(fraction) * (unitNs / 10 ** fraction.length));
  }
  if (ns >= endOfGoTime) return undefined;
  return text.startsWith('-') ? 0 - ns : ns;
}
