/** Where a caller stands in one window of a limit. */
export interface WindowState {
  readonly limit: number;
  /** Never below 0. */
  readonly remaining: number;
  readonly seconds: number;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

/**
 * The `RateLimit-*` fields. They are those of the last draft that has them one by one, which is what clients know:
 * https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-06. `RateLimit-Policy` names every window
 * (`60;w=60, 100000;w=86400`), and the others tell of one. That is the one with the least left of its limit: the draft
 * compares what is left itself, which tokens and requests would make senseless.
 *
 * @param told the window that the fields tell of, when it is known.
 * @returns no fields when there are no windows.
 */
export function rateHeaders(
  windows: readonly WindowState[],
  told: WindowState | undefined = tightest(windows),
): Readonly<Record<string, string>> {
  if (told === undefined) return {};
  return {
    'RateLimit-Limit': String(told.limit),
    'RateLimit-Remaining': String(told.remaining),
    'RateLimit-Reset': String(secondsUntil(told.endsAt)),
    'RateLimit-Policy': windows.map(({ limit, seconds }) => `${limit};w=${seconds}`).join(', '),
  };
}

/** Whole seconds from now, rounded up. */
export function secondsUntil(time: number): number {
  return Math.max(0, Math.ceil((time - Date.now()) / 1_000));
}

function tightest([first, ...rest]: readonly WindowState[]): WindowState | undefined {
  return rest.reduce((least, window) => (share(window) < share(least ?? window) ? window : least), first);
}

function share({ remaining, limit }: WindowState): number {
  return remaining / limit;
}
