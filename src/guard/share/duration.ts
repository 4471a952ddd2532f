const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Milliseconds in a duration such as `30s`, `90m`, `12h`, `30d` or `2w`; undefined when it is not one. */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = /^([1-9]\d{0,4})([smhdw])$/.exec(text) ?? [];
  const unitMs = unitsMs[unit ?? ''];
  return count === undefined || unitMs === undefined ? undefined : Number(count) * unitMs;
}
