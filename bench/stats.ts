/** The smallest value that at least `share` (0 to 1) of the values do not exceed (nearest rank). `NaN` of nothing. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[Math.min(rank, sorted.length) - 1] ?? Number.NaN;
}

/** The middle value; the mean of the two middle ones of an even number. `NaN` does not count; of nothing it is `NaN`. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(known(values)).sort();
  if (sorted.length === 0) return Number.NaN;
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Round by round, so that noise which lasts longer than a round hits both sides alike. */
export function ratios(over: readonly number[], under: readonly number[]): number[] {
  const count = Math.min(over.length, under.length);
  return Array.from({ length: count }, (_, round) => (over[round] ?? Number.NaN) / (under[round] ?? Number.NaN)).filter(
    Number.isFinite,
  );
}

/** What was measured: not `NaN`. */
export function known(values: readonly number[]): number[] {
  return values.filter((value) => !Number.isNaN(value));
}

/** Three significant digits, thousands separated, whole numbers whole: 12,300 · 98.2 · 0.973 · 32. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? '–' : '∞';
  const magnitude = Math.abs(value);
  const digits = Number.isInteger(value) ? 0 : magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A median with its range: `0.973 (0.95 to 1.02)`; one value alone. */
export function spread(all: readonly number[]): string {
  const values = known(all);
  if (values.length === 0) return '–';
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? number(low) : `${number(median(values))} (${number(low)} to ${number(high)})`;
}

/** A share of 1 as `12 %`. */
export function percent(share: number, digits = 0): string {
  return Number.isNaN(share) ? '–' : `${(share * 100).toFixed(digits)} %`;
}
