import type { Limits } from '../policy/policyDocument.ts';
import { counted } from '../share/counted.ts';
import { type Counter, Counters, type Unit, windows } from './counters.ts';
import { rateHeaders, secondsUntil, type WindowState } from './rateHeaders.ts';
import { boundedTokens } from './tokens.ts';
import type { Caller, Held } from './types.ts';

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

/** One limit by time of an account. */
interface Gauge extends Counter {
  readonly account: Account;
  readonly limit: number;
}

/** Where a gauge stood when it was asked. */
interface Reading extends Gauge, WindowState {
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
  readonly #counters: Counters;
  /** Of users and keys with requests under way. */
  readonly #accounts = new Map<string, Account>();
  /** Of whoever waits until nothing is under way. */
  #idle: PromiseWithResolvers<void> | undefined;
  readonly #onIdle = ({ key }: Account): void => {
    this.#accounts.delete(key);
    if (this.#accounts.size > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  };

  constructor(counters = new Counters()) {
    this.#counters = counters;
  }

  /**
   * A request begins; it waits, or runs, until its slot ends. Answers at once when the caller has no limits by time.
   *
   * @throws whatever reading the counters throws; the request then has no slot.
   */
  begin(caller: Caller): Outcome | Promise<Outcome> {
    const owners = this.#owners(caller);
    const gauges = gaugesOf(owners);
    const full = owners.find(({ account, limits }) => account.underWay >= (limits.concurrentRequests ?? Infinity));
    if (full !== undefined) {
      return gauges.length === 0
        ? tooManyAtOnce(full, [])
        : read(this.#counters, gauges).then((readings) => tooManyAtOnce(full, readings));
    }
    const accounts = owners.map(({ account }) => account);
    for (const account of accounts) this.#accounts.set(account.key, account);
    return new Slot(this.#counters, accounts, gauges, this.#onIdle).admit();
  }

  /** Resolves when nothing is under way, and all that was used is counted. */
  async idle(): Promise<void> {
    if (this.#accounts.size === 0) return;
    this.#idle ??= Promise.withResolvers();
    await this.#idle.promise;
  }

  #owners({ id, limits, keyId, limitsPerKey }: Caller): readonly Owner[] {
    const user = { account: this.#account(`user ${id}`), limits };
    return keyId === undefined ? [user] : [user, { account: this.#account(`key ${keyId}`), limits: limitsPerKey }];
  }

  #account(key: string): Account {
    return this.#accounts.get(key) ?? { key, underWay: 0, reserving: 0, promised: { tokens: 0, requests: 0 } };
  }
}

/** In the order of the windows: those of tokens first. */
function gaugesOf(owners: readonly Owner[]): readonly Gauge[] {
  const gauges: Gauge[] = [];
  for (const window of windows) {
    for (const { account, limits } of owners) {
      const limit = limits[window.limit];
      if (limit !== undefined) gauges.push({ account, key: account.key, window, limit });
    }
  }
  return gauges;
}

async function read(counters: Counters, gauges: readonly Gauge[]): Promise<readonly Reading[]> {
  // Before the first await: what is promised and what was used must be of the same moment.
  const counting = counters.read(gauges);
  const held = gauges.map(({ account, window }) => ({
    promised: account.promised[window.unit],
    isAlone: account.reserving <= 1,
  }));
  const counts = await counting;
  const now = Date.now();
  return gauges.map((gauge, index) => {
    const { used = 0, millisecondsLeft = 0 } = counts[index] ?? {};
    const { promised = 0, isAlone = false } = held[index] ?? {};
    const remaining = Math.max(0, gauge.limit - used - promised);
    const endsAt = now + millisecondsLeft;
    return { ...gauge, seconds: gauge.window.seconds, remaining, endsAt, used, promised, isAlone };
  });
}

/** The place of one request among those of its user and its key. */
export class Slot {
  readonly #counters: Counters;
  readonly #accounts: readonly Account[];
  readonly #gauges: readonly Gauge[];
  readonly #onIdle: (account: Account) => void;
  #readings: readonly Reading[] = [];
  #reserved: number | undefined;
  /** Whether the request is promised and not counted yet: one that is told to come again may not count. */
  #isUncounted = false;
  #hasEnded = false;

  /** @param onIdle called for an account that has nothing under way any more. */
  constructor(
    counters: Counters,
    accounts: readonly Account[],
    gauges: readonly Gauge[],
    onIdle: (account: Account) => void,
  ) {
    this.#counters = counters;
    this.#accounts = accounts;
    this.#gauges = gauges;
    this.#onIdle = onIdle;
    for (const account of accounts) account.underWay += 1;
  }

  /** Whether its caller's tokens are limited. */
  get limitsTokens(): boolean {
    return this.#gauges[0]?.window.unit === 'tokens';
  }

  /** Lets the request begin, or ends the slot. */
  admit(): Outcome | Promise<Outcome> {
    return this.#gauges.length === 0 ? { slot: this } : this.#admit();
  }

  /**
   * Sets tokens aside before the request is sent: as many as are left, or whatever it takes when the caller has nothing
   * else under way and has not used up its allowance. So no caller gets more than its allowance and one request.
   *
   * @param tokens what it uses at most.
   * @returns why the request may not be sent. Its slot is still to be ended.
   * @throws whatever reading the counters throws.
   */
  reserve(tokens: number): Held | undefined | Promise<Held | undefined> {
    return this.limitsTokens && !this.#hasEnded ? this.#reserve(boundedTokens(tokens)) : undefined;
  }

  /** The request is not told to come again, and counts from now on. Its end does the same. */
  count(): void {
    if (this.#uncount()) this.#charge('requests', 1);
  }

  /** The request is told to come again, which is not to be held against it. */
  forgive(): void {
    this.#uncount();
  }

  /**
   * The request is over, or never ran. Gives back what it held; once.
   *
   * @param tokens what it really used, of its prompt and of its answer.
   */
  end(tokens: number): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.count();
    this.#withdraw();
    if (tokens !== 0) this.#charge('tokens', boundedTokens(tokens));
    for (const account of this.#accounts) {
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
    this.#isUncounted = true;
    try {
      this.#readings = await read(this.#counters, this.#gauges);
    } catch (error) {
      this.forgive();
      this.end(0);
      throw error;
    }
    // Not by `>`: what is no number is too much.
    const full = this.#readings.filter(({ window, used, promised, limit }) => {
      return !(used + (window.unit === 'requests' ? promised : 1) <= limit);
    });
    if (full.length === 0) return { slot: this };
    this.forgive();
    this.end(0);
    return { held: heldBy(lastToEnd(full), this.#readings) };
  }

  async #reserve(tokens: number): Promise<Held | undefined> {
    this.#withdraw();
    this.#reserved = tokens;
    this.#promise('tokens', tokens);
    for (const account of this.#accounts) account.reserving += 1;
    const ofTokens = this.#gauges.filter(({ window }) => window.unit === 'tokens');
    let readings: readonly Reading[];
    try {
      readings = await read(this.#counters, ofTokens);
    } catch (error) {
      this.#withdraw();
      throw error;
    }
    this.#readings = [...readings, ...this.#readings.slice(ofTokens.length)];
    const full = readings.filter(({ used, promised, limit, isAlone }) => {
      return !(used + promised <= limit || (isAlone && used < limit));
    });
    if (full.length === 0) return undefined;
    this.forgive();
    this.#withdraw();
    const usedUp = full.filter(({ used, limit }) => used >= limit);
    return usedUp.length === 0
      ? { ...heldBy(lastToEnd(full), this.#readings), refusal: 'tokens-held', retryAfter: shortly }
      : heldBy(lastToEnd(usedUp), this.#readings);
  }

  /** @returns whether the request was promised until now. */
  #uncount(): boolean {
    if (!this.#isUncounted) return false;
    this.#isUncounted = false;
    this.#promise('requests', -1);
    return true;
  }

  #withdraw(): void {
    if (this.#reserved === undefined) return;
    this.#promise('tokens', -this.#reserved);
    for (const account of this.#accounts) account.reserving -= 1;
    this.#reserved = undefined;
  }

  #promise(unit: Unit, amount: number): void {
    for (const { promised } of this.#accounts) promised[unit] += amount;
  }

  #charge(unit: Unit, amount: number): void {
    for (const gauge of this.#gauges) if (gauge.window.unit === unit) this.#counters.add(gauge, amount);
  }
}

function tooManyAtOnce({ account, limits }: Owner, readings: readonly Reading[]): Outcome {
  const limit = `${counted(limits.concurrentRequests ?? 0, 'request')} at once${whose(account)}`;
  return { held: { refusal: 'too-many-at-once', limit, retryAfter: shortly, headers: rateHeaders(readings) } };
}

/** Whoever comes again before the last of them ends is sent away again. */
function lastToEnd(readings: readonly Reading[]): Reading {
  return readings.reduce((last, reading) => (reading.endsAt > last.endsAt ? reading : last));
}

/** @param full the reading that says no; the headers tell of it. */
function heldBy(full: Reading, readings: readonly Reading[]): Held {
  const { window, limit, account, endsAt } = full;
  return {
    refusal: window.refusal,
    limit: `${counted(limit, window.unit === 'tokens' ? 'token' : 'request')} ${window.seconds === 60 ? 'a minute' : 'a day'}${whose(account)}`,
    retryAfter: Math.max(1, secondsUntil(endsAt)),
    headers: rateHeaders(readings, full),
  };
}

function whose({ key }: Account): string {
  return key.startsWith('key ') ? ' for this key' : '';
}
