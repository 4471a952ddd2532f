import { LRUCache } from 'lru-cache';
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import type { RefusalCode } from '../answers.ts';
import type { Limits } from '../policy/policyDocument.ts';

/** What a window counts. */
export type Unit = 'tokens' | 'requests';

/** One limit of so much in so long a time. */
export interface Window {
  readonly limit: keyof Limits;
  readonly unit: Unit;
  readonly seconds: number;
  readonly refusal: RefusalCode;
  /** Whether its counts are kept between starts of the guard. */
  readonly isKept: boolean;
}

/** Every window, in the order in which they are asked: those of tokens first, which the limiter counts on. */
export const windows: readonly Window[] = [
  { limit: 'tokensPerMinute', unit: 'tokens', seconds: 60, refusal: 'too-many-tokens', isKept: false },
  { limit: 'tokensPerDay', unit: 'tokens', seconds: 86_400, refusal: 'too-many-tokens', isKept: true },
  { limit: 'requestsPerMinute', unit: 'requests', seconds: 60, refusal: 'too-many-requests', isKept: false },
];

const keptWindows = windows.filter(({ isKept }) => isKept);

/** Where something is counted: of a user or a key, in a window. */
export interface Counter {
  readonly key: string;
  readonly window: Window;
}

/** What was counted in the present window. */
export interface Count {
  readonly used: number;
  readonly millisecondsLeft: number;
}

/** A count of a window that is kept between starts of the guard. */
export interface KeptCount {
  readonly limit: Window['limit'];
  readonly key: string;
  readonly used: number;
  /** In milliseconds since the epoch. */
  readonly endsAt: number;
}

/** As many users and keys are counted; beyond that the one that used nothing for longest is forgotten. */
const maxCounted = 10_000;

/**
 * Counts by user or key, in fixed windows that begin with the first count. Limits are not known here: they differ by
 * caller and change at any time, so whoever asks compares.
 */
export class Counters {
  readonly #onKept: () => void;
  readonly #limiters = new Map(
    windows.map((window) => [
      window,
      new RateLimiterMemory({ points: Number.MAX_SAFE_INTEGER, duration: window.seconds, keyPrefix: '' }),
    ]),
  );
  /** The library forgets when a window ends, which bounds time but not number. */
  readonly #counted = new LRUCache<string, true>({
    max: maxCounted,
    dispose: (_value, key, reason) => {
      if (reason === 'evict') this.#forget(key);
    },
  });

  /** @param onKept called after each count that is to be kept. */
  constructor(onKept: () => void = () => undefined) {
    this.#onKept = onKept;
  }

  /** What is to be kept between starts. */
  get kept(): readonly KeptCount[] {
    return keptWindows.flatMap((window) => {
      const { storage } = this.#limiters.get(window)?.dump() ?? { storage: [] };
      return storage.map(({ key, value, expiresAt }) => {
        return { limit: window.limit, key: String(key), used: value, endsAt: expiresAt ?? 0 };
      });
    });
  }

  /** Goes on from what was kept. Windows that have ended are left out, and none lasts longer than one that begins now. */
  restore(kept: readonly KeptCount[]): void {
    for (const window of keptWindows) {
      const latest = Date.now() + window.seconds * 1_000;
      const counts = kept.filter(({ limit }) => limit === window.limit);
      const storage = counts.map(({ key, used, endsAt }) => ({
        key,
        value: used,
        expiresAt: Math.min(endsAt, latest),
      }));
      this.#limiters.get(window)?.restore({ version: 1, storage });
      for (const { key } of counts) this.#counted.set(key, true);
    }
  }

  /** What stands at the moment of the call, though it is learnt later; in the order of what is asked for. */
  async read(counters: readonly Counter[]): Promise<readonly Count[]> {
    const found = await Promise.all(counters.map(({ key, window }) => this.#limiters.get(window)?.get(key)));
    return counters.map(({ window }, index) => countOf(found[index], window));
  }

  /** Counts at once. */
  add({ key, window }: Counter, amount: number): void {
    this.#counted.set(key, true);
    // In memory this is done when the call returns, and cannot fail.
    void this.#limiters.get(window)?.penalty(key, amount);
    if (window.isKept) this.#onKept();
  }

  #forget(key: string): void {
    for (const limiter of this.#limiters.values()) void limiter.delete(key);
  }
}

function countOf(found: RateLimiterRes | null | undefined, { seconds }: Window): Count {
  // A record may outlast its window until the library's timer has run.
  if (!found || found.msBeforeNext <= 0) return { used: 0, millisecondsLeft: seconds * 1_000 };
  // A clock that was set back makes no window longer.
  return { used: found.consumedPoints, millisecondsLeft: Math.min(found.msBeforeNext, seconds * 1_000) };
}
