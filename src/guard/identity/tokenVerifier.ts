import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, errors, type JSONWebKeySet, jwtVerify, type LocalJWKSet } from 'jose';
import { LRUCache } from 'lru-cache';
import type { TokenIssuer } from '../policy/policyDocument.ts';
import type { Identity } from './authenticator.ts';
import { maxTokenLength } from './credentials.ts';
import { loadKeys } from './discovery.ts';
import { KeySet, KeysUnavailableError } from './keySet.ts';
import { ClaimError, type Claims, identityOf } from './tokenClaims.ts';

/** How a token was taken. `reason` is for the owner's log, and holds neither the token nor what its claims hold. */
export type TokenOutcome =
  | { readonly identity: Identity }
  | { readonly refusal: 'unauthenticated' | 'sign-in-unavailable'; readonly reason: string };

/** What the verifier works with; replaced in tests. */
export interface TokenVerifierPorts {
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Gets the keys of an issuer; see discovery.ts. */
  readonly loadKeys?: (issuer: TokenIssuer, closed: AbortSignal) => Promise<JSONWebKeySet>;
}

/** What an issuer signs with unless its configuration says. Never `none`, nor by a secret both sides have. */
const defaultAlgorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];

const defaultClockTolerance = 30;

/** A verified token is remembered for this long at most, in milliseconds. */
const verifiedTtlMs = 60_000;
const maxVerified = 1_000;

/** An access token (RFC 9068 §2.1), an ID token, or one that does not say; none that is for something else. */
const types = /^(application\/)?(at\+)?jwt$/i;

interface Issuer {
  readonly config: TokenIssuer;
  readonly keys: KeySet;
  /** Gives up getting them. */
  readonly closed: AbortController;
}

/** What a token was verified as. It counts only while its issuer is as it was, and the keys it was checked with fresh. */
interface Verified {
  readonly identity: Identity;
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly issuer: Issuer;
  readonly by: LocalJWKSet;
}

/** The token is wrong. The message says how, for the owner's log. */
class TokenError extends Error {
  override readonly name = 'TokenError';
}

/**
 * Turns JSON Web Tokens of configured issuers into identities, by keys that the issuers publish (RFC 7519, with the
 * advice of RFC 8725). What a token says of where its key is (`jku`, `x5u`, `jwk`) is not looked at.
 */
export class TokenVerifier {
  readonly #now: () => number;
  readonly #loadKeys: NonNullable<TokenVerifierPorts['loadKeys']>;
  /** What is remembered is found by HMACs under this, so that no token is kept. */
  readonly #processKey = createSecretKey(randomBytes(32));
  readonly #verified = new LRUCache<string, Verified>({ max: maxVerified });
  #issuers: ReadonlyMap<string, Issuer> = new Map();

  constructor(issuers: readonly TokenIssuer[], { now = Date.now, loadKeys: load = loadKeys }: TokenVerifierPorts = {}) {
    this.#now = now;
    this.#loadKeys = load;
    this.setIssuers(issuers);
  }

  /**
   * Replaces the issuers, for tokens that are being checked too. Keys that are to be had where they were stay: their
   * issuer may be down right now.
   */
  setIssuers(issuers: readonly TokenIssuer[]): void {
    const before = this.#issuers;
    this.#issuers = new Map(issuers.map((config) => [config.issuer, this.#issuer(config, before.get(config.issuer))]));
    for (const { config, closed } of before.values()) {
      if (this.#issuers.get(config.issuer)?.closed !== closed) closed.abort();
    }
  }

  #issuer(config: TokenIssuer, before: Issuer | undefined): Issuer {
    if (before !== undefined && before.config.jwksUri === config.jwksUri) {
      return isSame(before.config, config) ? before : { ...before, config };
    }
    const closed = new AbortController();
    const keys = new KeySet({ load: () => this.#loadKeys(config, closed.signal), now: this.#now });
    return { config, keys, closed };
  }

  /** Whether tokens of an issuer are taken. */
  knows(issuer: string): boolean {
    return this.#issuers.has(issuer);
  }

  /** Checks a token. Never rejects. */
  async verify(text: string): Promise<TokenOutcome> {
    try {
      return { identity: this.#recall(text) ?? (await this.#check(text)) };
    } catch (error) {
      if (error instanceof KeysUnavailableError) return { refusal: 'sign-in-unavailable', reason: error.message };
      return { refusal: 'unauthenticated', reason: reasonOf(error) };
    }
  }

  /** Gives up what is under way. */
  close(): void {
    this.setIssuers([]);
    this.#verified.clear();
  }

  #recall(text: string): Identity | undefined {
    if (text.length > maxTokenLength) throw new TokenError('the token is too long');
    const found = this.#verified.get(this.#mac(text));
    if (found === undefined || this.#now() >= found.until || !this.#isCurrent(found.issuer)) return undefined;
    return found.issuer.keys.fresh === found.by ? found.identity : undefined;
  }

  #isCurrent(issuer: Issuer): boolean {
    return this.#issuers.get(issuer.config.issuer) === issuer;
  }

  async #check(text: string): Promise<Identity> {
    const issuer = this.#issuerOf(text);
    const { config, keys } = issuer;
    await keys.freshen();
    const by = keys.fresh;
    const now = this.#now();
    const clockTolerance = config.clockToleranceSeconds ?? defaultClockTolerance;
    const { payload } = await jwtVerify(text, (header, token) => keys.find(header, token), {
      algorithms: [...algorithmsOf(config)],
      issuer: config.issuer,
      audience: [...config.audience],
      requiredClaims: ['exp'],
      clockTolerance,
      currentDate: new Date(now),
    });
    if (!this.#isCurrent(issuer)) return this.#check(text);
    if (payload.iat !== undefined && payload.iat > now / 1_000 + clockTolerance) {
      throw new TokenError('the token was issued in the future');
    }
    // RFC 9449 §7.1 and RFC 8705 §3: it is worth nothing without a proof, which nothing here looks at.
    if (payload.cnf !== undefined) throw new TokenError('the token is bound to a key');
    const identity = identityOf(config, payload, now);
    if (by !== undefined) {
      const until = Math.min(now + verifiedTtlMs, (payload.exp ?? 0) * 1_000);
      this.#verified.set(this.#mac(text), { identity, until, issuer, by });
    }
    return identity;
  }

  /** Whose keys a token is to be checked with. Nothing that it says counts before that. */
  #issuerOf(text: string): Issuer {
    const { header, claims } = unverified(text);
    const issuer = typeof claims.iss === 'string' ? this.#issuers.get(claims.iss) : undefined;
    if (issuer === undefined) throw new TokenError('the issuer is not configured');
    const { alg, typ } = header;
    if (!algorithmsOf(issuer.config).some((one) => one === alg)) {
      throw new TokenError('the algorithm is not one of the issuer');
    }
    if (typ !== undefined && !(typeof typ === 'string' && types.test(typ))) {
      throw new TokenError('the token is of another type');
    }
    return issuer;
  }

  #mac(text: string): string {
    return createHmac('sha256', this.#processKey).update(text).digest('base64');
  }
}

/** Whether two configurations say the same; the order of roles counts. */
function isSame(one: TokenIssuer, other: TokenIssuer): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function algorithmsOf({ algorithms }: TokenIssuer): readonly string[] {
  return algorithms ?? defaultAlgorithms;
}

function unverified(text: string): { readonly header: Claims; readonly claims: Claims } {
  try {
    return { header: decodeProtectedHeader(text), claims: decodeJwt(text) };
  } catch {
    throw new TokenError('this is no JSON Web Token');
  }
}

/** By jose's codes. */
const reasons: Readonly<Record<string, string>> = {
  [errors.JWTExpired.code]: 'the token has run out',
  [errors.JWSSignatureVerificationFailed.code]: 'the signature is wrong',
  [errors.JWKSNoMatchingKey.code]: 'the issuer has no such key',
  [errors.JWKSMultipleMatchingKeys.code]: 'the token does not say which key of the issuer it was signed with',
};

function reasonOf(error: unknown): string {
  if (error instanceof TokenError || error instanceof ClaimError) return error.message;
  if (error instanceof errors.JWTClaimValidationFailed) return `the claim ${error.claim} is missing or wrong`;
  if (error instanceof errors.JOSEError) return reasons[error.code] ?? 'the token is malformed';
  return 'the key of the issuer cannot be used';
}
