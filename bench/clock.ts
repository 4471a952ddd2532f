/**
 * Microseconds on the system's monotonic clock. Its zero is the same in every process of one machine, unlike
 * `performance.now()`, so a stamp made by the upstream can be compared where the record arrives.
 */
export function microseconds(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/** Milliseconds since a stamp. */
export function millisecondsSince(stamp: number): number {
  return (microseconds() - stamp) / 1000;
}
