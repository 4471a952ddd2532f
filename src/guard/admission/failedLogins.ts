import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';
import { isLoopback } from '../config.ts';

/** The numbers of the limiter; times in milliseconds. */
export interface FailedLoginLimits {
  readonly failures: number;
  readonly windowMs: number;
  /** The first delay; each further failure doubles it. */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** The longest delay on loopback, which is never locked out for long (SEC-55). */
  readonly maxLoopbackDelayMs: number;
  /** After this long without a failure, all is forgotten. */
  readonly forgetMs: number;
}

/** Ten failures a minute, then delays from 5 s up to 15 min. */
export const defaultFailedLoginLimits: FailedLoginLimits = {
  failures: 10,
  windowMs: 60_000,
  firstDelayMs: 5_000,
  maxDelayMs: 15 * 60_000,
  maxLoopbackDelayMs: 5_000,
  forgetMs: 60 * 60_000,
};

interface Record {
  failures: number;
  windowStart: number;
  strikes: number;
  blockedUntil: number;
}

/** As many addresses and as many names are remembered; beyond that the one not seen longest is forgotten. */
const maxRecords = 10_000;

/** Counts failed sign-ins per address and per user name, and says how long to wait before the next try. */
export interface FailedLogins {
  /** Milliseconds until this address may try this name; 0 when it may now. */
  wait(address: string, user: string | undefined): number;
  /** Counts one failure. */
  record(address: string, user: string | undefined): void;
}

/**
 * The failed-login limiter. Only failures count, and they count before a hash is spent (SEC-53, SEC-55). A name that
 * is under attack stays open to addresses that have not failed: the right password from elsewhere is never locked out
 * by someone else's failures.
 */
export function createFailedLogins(
  limits: FailedLoginLimits = defaultFailedLoginLimits,
  now: () => number = () => performance.now(),
): FailedLogins {
  const options = { max: maxRecords, ttl: limits.forgetMs, perf: { now } };
  const addresses = new LRUCache<string, Record>(options);
  const users = new LRUCache<string, Record>(options);

  const remaining = (record: Record | undefined) => Math.max(0, (record?.blockedUntil ?? 0) - now());

  const count = (records: LRUCache<string, Record>, key: string, maxDelayMs: number) => {
    const record = records.get(key) ?? { failures: 0, windowStart: now(), strikes: 0, blockedUntil: 0 };
    if (now() - record.windowStart >= limits.windowMs) Object.assign(record, { failures: 0, windowStart: now() });
    record.failures += 1;
    if (record.strikes > 0 || record.failures >= limits.failures) {
      record.blockedUntil = now() + Math.min(limits.firstDelayMs * 2 ** record.strikes, maxDelayMs);
      record.strikes = Math.min(record.strikes + 1, 30);
    }
    records.set(key, record);
  };

  return {
    wait(address, user) {
      const own = addresses.get(addressKey(address));
      const named = own === undefined || user === undefined ? undefined : users.get(user);
      return Math.max(remaining(own), remaining(named));
    },
    record(address, user) {
      const maxDelayMs = isLoopback(address) ? limits.maxLoopbackDelayMs : limits.maxDelayMs;
      count(addresses, addressKey(address), maxDelayMs);
      if (user !== undefined) count(users, user, maxDelayMs);
    },
  };
}

/** What counts as one address: an IPv4 address, or the /64 an IPv6 host can move about in. */
export function addressKey(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - left.length - (tail === '' ? 0 : tail.split(':').length);
  const groups = [...left, ...Array<string>(Math.max(0, missing)).fill('0'), ...(tail?.split(':') ?? [])];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group || '0', 16).toString(16))
    .join(':');
}
