import {
  type CryptoKey,
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWSHeaderParameters,
  type LocalJWKSet,
} from 'jose';
import { systemErrorCode } from '../errors.ts';

/** How long keys are used without asking again, in milliseconds: a key that was taken back works for no longer. */
const freshMs = 10 * 60_000;

/** How long they are used while their issuer does not answer. */
const maxAgeMs = 24 * 60 * 60_000;

/** How long an issuer is left in peace after it failed, or was asked for a key it does not have. */
const quietMs = 30_000;

/** There are no keys to check a token with, or they are too old. The message says why, for the owner's log. */
export class KeysUnavailableError extends Error {
  override readonly name = 'KeysUnavailableError';
}

/** What a set of keys works with. */
export interface KeySetPorts {
  readonly load: () => Promise<JSONWebKeySet>;
  /** Milliseconds since the epoch: a clock that also runs while a computer sleeps. */
  readonly now: () => number;
}

/**
 * The keys of one issuer, got when they are needed and kept. However many tokens name keys that do not exist, the
 * issuer is asked once at a time, and once in `quietMs`.
 */
export class KeySet {
  readonly #ports: KeySetPorts;
  #keys: LocalJWKSet | undefined;
  #loadedAt = Number.NEGATIVE_INFINITY;
  #quietFrom = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | undefined;
  /** Why the issuer could not be asked when it was asked last; empty when it could. */
  #problem = '';

  constructor(ports: KeySetPorts) {
    this.#ports = ports;
  }

  /** The keys while they are fresh: another object whenever they were got anew. */
  get fresh(): LocalJWKSet | undefined {
    return this.#isWithin(freshMs, this.#loadedAt) ? this.#keys : undefined;
  }

  /**
   * Gets the keys when they are not fresh. Keeps those there are when that fails: once it has, nobody waits for an issuer
   * that is asked again beside.
   */
  async freshen(): Promise<void> {
    if (this.fresh !== undefined) return;
    const asked = this.#ask({ forMissing: false });
    if (this.#problem === '' || !this.#isUsable) await asked;
  }

  /**
   * The key that a token names. One that is not there yet is looked for once more.
   *
   * @throws KeysUnavailableError, and what jose throws when no key or several match.
   */
  async find(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    try {
      return await this.#usable()(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#ask({ forMissing: true });
      return this.#usable()(header, token);
    }
  }

  get #isUsable(): boolean {
    return this.#keys !== undefined && this.#isWithin(maxAgeMs, this.#loadedAt);
  }

  #usable(): LocalJWKSet {
    if (this.#keys === undefined || !this.#isUsable) {
      throw new KeysUnavailableError(`the keys of the issuer cannot be had: ${this.#problem}`);
    }
    return this.#keys;
  }

  #isWithin(ms: number, since: number): boolean {
    const age = this.#ports.now() - since;
    // A clock that was set back says nothing about age.
    return age >= 0 && age < ms;
  }

  /** Asks the issuer, unless it is left in peace; whoever comes meanwhile waits for the same answer. */
  async #ask({ forMissing }: { readonly forMissing: boolean }): Promise<void> {
    if (this.#loading === undefined) {
      if (this.#isWithin(quietMs, this.#quietFrom)) return;
      if (forMissing) this.#quietFrom = this.#ports.now();
      this.#loading = this.#load();
    }
    await this.#loading;
  }

  async #load(): Promise<void> {
    try {
      this.#keys = createLocalJWKSet(await this.#ports.load());
      this.#loadedAt = this.#ports.now();
      this.#problem = '';
    } catch (error) {
      this.#problem = systemErrorCode(error) ?? (error as Error).message;
      this.#quietFrom = this.#ports.now();
    } finally {
      this.#loading = undefined;
    }
  }
}
