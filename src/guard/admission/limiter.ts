import type { Limits } from '../policy/policyDocument.ts';
import { Counters, type Unit, type Window, windows } from './counters.ts';
import { rateHeaders, secondsUntil, type WindowState } from './rateHeaders.ts';
import { boundedTokens } from './tokens.ts';
import type { Caller, Held, TokenEstimate } from './types.ts';

/** What a request got that asked to begin. */
export type Outcome = { readonly slot: Slot } | { readonly held: Held };

/** In seconds: until one of the caller's own requests may have ended. */
const shortly = 1;

/** What one user, or one key, has under way. */
interface Account {
  readonly key: string;
  /** Requests, from when they begin until they end. */
  underWay: number;
  /** Those of them that have reserved tokens. */
  reserving: number;
  /** What they may come to use, beside what was counted already. */
  readonly promised: Record<Unit, number>;
}

/** An account, and what it may use as of this request. */
interface Owner {
  readonly account: Account;
  readonly limits: Limits;
}

/** Where an owner stood in one window when it was asked. */
interface Reading extends WindowState {
  readonly window: Window;
  readonly used: number;
  readonly promised: number;
  /** No other request has reserved anything. */
  readonly isAlone: boolean;
}

/**
 * Limits per user and per key: requests per minute, tokens per minute and per day, and requests at once.
 *
 * Whoever asks puts down first what it would use, reads in the same step what was used until then, and takes it back if
 * that is too much. So of requests that come at the same moment each sees those before it, however long reading takes.
 * When reading fails the request fails (SEC-47).
 *
 * Requests at once are counted for everybody, and the rest for callers with a limit on it: a limit that is new begins to
 * count when it is there, one that changes holds at once.
 */
export class Limiter {
  readonly #counters = new Counters();
  /** Of users and keys with requests under way. */
  readonly #accounts = new Map<string, Account>();

  /**
   * A request begins; it waits, or runs, until its slot ends. Answers at once when the caller has no limits by time.
   *
   * @throws whatever reading the counters throws; the request then has no slot.
   */
  begin(caller: Caller): Outcome | Promise<Outcome> {
    const owners = this.#owners(caller);
    if (owners.some(({ account, limits }) => account.underWay >= (limits.concurrentRequests ?? Infinity))) {
      return { held: { refusal: 'too-many-at-once', retryAfter: shortly, headers: {} } };
    }
    const slot = new Slot(this.#counters, owners, (account) => this.#accounts.delete(account.key));
    for (const { account } of owners) this.#accounts.set(account.key, account);
    return slot.admit();
  }

  #owners({ id, limits, keyId, limitsPerKey }: Caller): readonly Owner[] {
    const user = { account: this.#account(`user ${id}`), limits };
    return keyId === undefined ? [user] : [user, { account: this.#account(`key ${keyId}`), limits: limitsPerKey }];
  }

  #account(key: string): Account {
    return this.#accounts.get(key) ?? { key, underWay: 0, reserving: 0, promised: { tokens: 0, requests: 0 } };
  }
}

/** The place of one request among those of its user and its key. */
export class Slot {
  readonly #counters: Counters;
  readonly #owners: readonly Owner[];
  readonly #onIdle: (account: Account) => void;
  #readings: readonly Reading[] = [];
  #reserved: number | undefined;
  #hasEnded = false;

  /** @param onIdle called for an account that has nothing under way any more. */
  constructor(counters: Counters, owners: readonly Owner[], onIdle: (account: Account) => void) {
    this.#counters = counters;
    this.#owners = owners;
    this.#onIdle = onIdle;
    for (const { account } of owners) account.underWay += 1;
  }

  /** Lets the request begin, or ends the slot. */
  admit(): Outcome | Promise<Outcome> {
    return this.#owners.some(({ limits }) => windows.some(({ limit }) => limits[limit] !== undefined))
      ? this.#admit()
      : { slot: this };
  }

  /**
   * Sets tokens aside before the request is sent: as many as are left, or whatever it takes when the caller has nothing
   * else under way and has not used up its allowance. So no caller gets more than its allowance and one request.
   *
   * @returns why the request may not be sent. Its slot is still to be ended.
   * @throws whatever reading the counters throws.
   */
  reserve({ prompt, output }: TokenEstimate): Held | undefined | Promise<Held | undefined> {
    const limited = windows.some(({ limit, unit }) => unit === 'tokens' && this.#limited(limit));
    return limited && !this.#hasEnded ? this.#reserve(boundedTokens(prompt) + boundedTokens(output)) : undefined;
  }

  /**
   * The request is over, or never ran. Gives back what it held; once.
   *
   * @param tokens what it really used, of its prompt and of its answer.
   */
  end(tokens: number): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#withdraw();
    if (tokens !== 0) this.#charge('tokens', boundedTokens(tokens));
    for (const { account } of this.#owners) {
      account.underWay -= 1;
      if (account.underWay === 0) this.#onIdle(account);
    }
  }

  /** How much is left to the caller, as of the last time that this request asked; see `rateHeaders`. */
  headers(): Readonly<Record<string, string>> {
    return rateHeaders(this.#readings);
  }

  async #admit(): Promise<Outcome> {
    this.#promise('requests', 1);
    try {
      this.#readings = await this.#read();
      const full = this.#readings.find(({ window, used, promised, limit }) => {
        return !(used + (window.unit === 'requests' ? promised : 1) <= limit);
      });
      if (full === undefined) {
        this.#charge('requests', 1);
        return { slot: this };
      }
      this.end(0);
      return { held: this.#held(full, secondsUntil(full.endsAt)) };
    } catch (error) {
      this.end(0);
      throw error;
    } finally {
      this.#promise('requests', -1);
    }
  }

  async #reserve(tokens: number): Promise<Held | undefined> {
    this.#withdraw();
    this.#reserved = tokens;
    this.#promise('tokens', tokens);
    for (const { account } of this.#owners) account.reserving += 1;
    try {
      this.#readings = await this.#read();
    } catch (error) {
      this.#withdraw();
      throw error;
    }
    const full = this.#readings.find(({ window, used, promised, limit, isAlone }) => {
      return window.unit === 'tokens' && !(used + promised <= limit || (isAlone && used < limit));
    });
    if (full === undefined) return undefined;
    this.#withdraw();
    return this.#held(full, full.used < full.limit ? shortly : secondsUntil(full.endsAt));
  }

  #withdraw(): void {
    if (this.#reserved === undefined) return;
    this.#promise('tokens', -this.#reserved);
    for (const { account } of this.#owners) account.reserving -= 1;
    this.#reserved = undefined;
  }

  #promise(unit: Unit, amount: number): void {
    for (const { account } of this.#owners) account.promised[unit] += amount;
  }

  #charge(unit: Unit, amount: number): void {
    for (const window of windows) {
      if (window.unit !== unit) continue;
      for (const { account, limits } of this.#owners) {
        if (limits[window.limit] !== undefined) this.#counters.add(account.key, window, amount);
      }
    }
  }

  #limited(limit: keyof Limits): boolean {
    return this.#owners.some(({ limits }) => limits[limit] !== undefined);
  }

  #read(): Promise<readonly Reading[]> {
    return Promise.all(
      windows.flatMap((window) =>
        this.#owners.flatMap(({ account, limits }) => {
          const limit = limits[window.limit];
          return limit === undefined ? [] : [this.#reading(account, window, limit)];
        }),
      ),
    );
  }

  async #reading(account: Account, window: Window, limit: number): Promise<Reading> {
    // Before the first await: what is promised and what was used must be of the same moment.
    const promised = account.promised[window.unit];
    const isAlone = account.reserving <= 1;
    const { used, millisecondsLeft } = await this.#counters.read(account.key, window);
    const remaining = Math.max(0, limit - used - promised);
    return {
      window,
      limit,
      remaining,
      seconds: window.seconds,
      endsAt: Date.now() + millisecondsLeft,
      used,
      promised,
      isAlone,
    };
  }

  #held(full: Reading, retryAfter: number): Held {
    return {
      refusal: full.window.refusal,
      retryAfter: Math.max(1, retryAfter),
      headers: rateHeaders(this.#readings, full),
    };
  }
}
