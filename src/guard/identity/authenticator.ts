import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { addressKey, createFailedLogins, type FailedLogins } from '../admission/failedLogins.ts';
import type { RefusalCode } from '../answers.ts';
import { matchesApiKey } from './apiKey.ts';
import { BoundedQueue, QueueFullError } from './boundedQueue.ts';
import type { Credential } from './credentials.ts';
import { createDirectory, type Directory } from './directory.ts';
import { passwordProblem } from './password.ts';
import { isTimely, type Signature, verifySignature } from './signature.ts';
import type { TokenOutcome } from './tokenVerifier.ts';
import { isExpired, type User, userNameProblem, whyBarred } from './users.ts';

/** Compares a password with a bcrypt hash, somewhere that may take its time. */
export type ComparePassword = (password: string, hash: string) => Promise<boolean>;

/** Who sent a request, and by what. */
export interface Identity {
  /** Of somebody who came by a JSON Web Token: made of its claims, and in no list. */
  readonly user: User;
  /** The id of the API key. */
  readonly keyId?: string;
  /** The id of the public key. */
  readonly publicKeyId?: string;
  /** Whose token it was. */
  readonly issuer?: string;
}

/** The outcome of a sign-in. Refusals are alike whatever was wrong; `reason` is for the owner's log (SEC-48). */
export type SignIn =
  | { readonly identity: Identity }
  | { readonly refusal: RefusalCode; readonly reason: string; readonly retryAfter?: number };

/** Where a request came from. */
export interface Origin {
  /** The remote address, for the failed-login limiter. */
  readonly address: string;
  /** Whether nobody on the way can have read the request: it was encrypted, or never left this computer. */
  readonly confidential: boolean;
}

/** What the authenticator works with. */
export interface AuthenticatorPorts {
  readonly comparePassword: ComparePassword;
  /** Checks a JSON Web Token, and never rejects; without it a token is no credential here. */
  readonly verifyToken?: (text: string) => Promise<TokenOutcome>;
  /** Whether tokens of an issuer are taken still; without it none are. */
  readonly isIssuerKnown?: (issuer: string) => boolean;
  readonly failedLogins: FailedLogins;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** A verified credential is remembered for this long, in milliseconds. */
const verifiedTtlMs = 10 * 60_000;
const maxVerified = 1_000;

/** Passwords waiting for the hash thread; at 0.3 s each the last one waits about 20 s. */
const queueLimits = { total: 64, perKey: 32 } as const;
const secondsPerHash = 0.35;

/** Tokens that are checked at the same time, each of which may wait for the keys of its issuer. */
const maxTokenChecks = 64;

/** What a password was verified against. It counts only while the user's record is still that one. */
interface Verified {
  readonly userId: string;
  readonly passwordHash: string;
}

type Verdict = 'right' | 'wrong' | { readonly waitMs: number };

const noCredential: SignIn = { refusal: 'unauthenticated', reason: 'no credential' };

/**
 * Turns credentials into identities: API keys by digest, signatures by the public keys of users, tokens by who issued
 * them, and passwords by bcrypt behind a cache and a bounded queue.
 */
export class Authenticator {
  readonly #ports: AuthenticatorPorts;
  readonly #now: () => number;
  /**
   * Cache and single-flight keys are HMACs under this, so that no plain text is kept (SEC-50, SEC-54). Made a key once:
   * Node would take ten times as long to make one of bytes for every request.
   */
  readonly #processKey = createSecretKey(randomBytes(32));
  readonly #verified: LRUCache<string, Verified>;
  readonly #inFlight = new Map<string, Promise<Verdict>>();
  readonly #queue = new BoundedQueue(queueLimits);
  /** Bad tokens cost no hash, so they are counted apart: a flood of them must not keep a right password out. */
  readonly #failedTokens: FailedLogins;
  #directory: Directory = createDirectory([]);
  #tokenChecks = 0;

  constructor(ports: AuthenticatorPorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
    this.#failedTokens = createFailedLogins(undefined, ports.now);
    this.#verified = new LRUCache({ max: maxVerified, ttl: verifiedTtlMs, perf: { now: this.#now } });
  }

  /** Replaces the users; applies to the next sign-in, also to credentials that are remembered. */
  setUsers(users: readonly User[]): void {
    this.#directory = createDirectory(users);
  }

  /**
   * Whether an identity would still be given: its user and key exist unchanged and have not run out; for one by a token,
   * its issuer is known and nobody of that name is barred. An answer that has begun may outlive its token.
   */
  isCurrent({ user, keyId, publicKeyId, issuer }: Identity): boolean {
    if (issuer !== undefined) {
      return this.#ports.isIssuerKnown?.(issuer) === true && this.#whyTokenBarred(user) === undefined;
    }
    const record = this.#directory.byName(user.name);
    if (record?.id !== user.id || whyBarred(record, this.#now()) !== undefined) return false;
    if (keyId === undefined && publicKeyId === undefined) return record.passwordHash === user.passwordHash;
    const key =
      keyId === undefined
        ? record.publicKeys?.find(({ id }) => id === publicKeyId)
        : record.keys.find(({ id }) => id === keyId);
    return key !== undefined && !isExpired(key, this.#now());
  }

  /** Signs a request in. Answers at once when neither a password has to be hashed nor a token checked. */
  signIn(credential: Credential, origin: Origin): SignIn | Promise<SignIn> {
    const { address } = origin;
    switch (credential.kind) {
      case 'none':
        return noCredential;
      case 'invalid':
        return this.#failToken(address, 'not a credential of this guard');
      case 'signature':
        return this.#signInBySignature(credential.signature, origin);
      case 'token':
        return this.#signInByToken(credential.text, address);
      case 'key':
        return this.#signInByKey(credential, address);
      case 'password':
        return this.#signInByPassword(credential, address);
    }
  }

  #signInByKey({ id, text, user: claimed }: Credential & { kind: 'key' }, address: string): SignIn {
    const found = this.#directory.byKeyId(id);
    const matches = matchesApiKey(text, found?.key.sha256);
    if (found === undefined || !matches) return this.#failToken(address, 'unknown API key');
    const { user, key } = found;
    if (claimed !== undefined && claimed !== user.name) return this.#failToken(address, "another user's API key");
    if (isExpired(key, this.#now())) return this.#failToken(address, 'expired API key');
    const barred = whyBarred(user, this.#now());
    if (barred !== undefined) return this.#failToken(address, `${barred} user`);
    return { identity: { user, keyId: id } };
  }

  /** Unknown, wrong, stale and expired alike (SEC-48). What comes in clear is not looked at (SEC-61). */
  #signInBySignature(signature: Signature, { address, confidential }: Origin): SignIn {
    if (!confidential) return { refusal: 'signature-over-http', reason: 'signature over plain HTTP' };
    if (!isTimely(signature, this.#now())) return this.#failToken(address, 'signature of another time');
    if (!verifySignature(signature)) return this.#failToken(address, 'wrong signature');
    const found = this.#directory.byPublicKey(signature.publicKey);
    if (found === undefined) return this.#failToken(address, 'unknown public key');
    const { user, key } = found;
    if (isExpired(key, this.#now())) return this.#failToken(address, 'expired public key');
    const barred = whyBarred(user, this.#now());
    if (barred !== undefined) return this.#failToken(address, `${barred} user`);
    return { identity: { user, publicKeyId: key.id } };
  }

  /** A user of the same name lends it nothing, and can only bar it: that is how the owner shuts somebody out. */
  async #signInByToken(text: string, address: string): Promise<SignIn> {
    const { verifyToken } = this.#ports;
    if (verifyToken === undefined) return this.#failToken(address, 'not a credential of this guard');
    if (this.#tokenChecks >= maxTokenChecks) {
      return { refusal: 'too-busy', reason: 'too many tokens are being checked', retryAfter: 1 };
    }
    this.#tokenChecks += 1;
    const outcome = await verifyToken(text).finally(() => {
      this.#tokenChecks -= 1;
    });
    if ('refusal' in outcome) {
      return outcome.refusal === 'unauthenticated' ? this.#failToken(address, outcome.reason) : outcome;
    }
    const barred = this.#whyTokenBarred(outcome.identity.user);
    return barred === undefined ? outcome : this.#failToken(address, `${barred} user`);
  }

  /** @param user what a token says. Names that differ in case alone are one name. */
  #whyTokenBarred(user: User): ReturnType<typeof whyBarred> {
    const namesake = this.#directory.byNameInAnyCase(user.name);
    return whyBarred(user, this.#now()) ?? (namesake && whyBarred(namesake, this.#now()));
  }

  #signInByPassword(
    { user: name, password }: Credential & { kind: 'password' },
    address: string,
  ): SignIn | Promise<SignIn> {
    const mac = this.#mac(name, password);
    const remembered = this.#verified.get(mac);
    if (remembered !== undefined) {
      const user = this.#directory.byName(name);
      if (user?.id === remembered.userId && user.passwordHash === remembered.passwordHash) {
        const barred = whyBarred(user, this.#now());
        return barred === undefined ? { identity: { user } } : this.#fail(address, name, `${barred} user`);
      }
      this.#verified.delete(mac);
    }
    const known = userNameProblem(name) === undefined ? name : undefined;
    if (passwordProblem(password) !== undefined) return this.#fail(address, known, 'empty or overlong password');
    return this.#verify(mac, name, password, address, known);
  }

  async #verify(
    mac: string,
    name: string,
    password: string,
    address: string,
    known: string | undefined,
  ): Promise<SignIn> {
    let verdict: Verdict;
    try {
      verdict = await (this.#inFlight.get(mac) ?? this.#compareOnce(mac, name, password, address, known));
    } catch (error) {
      if (!(error instanceof QueueFullError)) throw error;
      return { refusal: 'too-busy', reason: 'sign-in queue full', retryAfter: this.#queue.size * secondsPerHash };
    }
    if (typeof verdict === 'object') return this.#tooMany(verdict.waitMs);
    const user = this.#directory.byName(name);
    if (verdict === 'right' && user !== undefined && whyBarred(user, this.#now()) === undefined) {
      // The users may have changed while bcrypt ran: only what is remembered against the present record counts.
      if (this.#verified.get(mac)?.passwordHash === user.passwordHash) return { identity: { user } };
    }
    const barred = user && verdict === 'right' ? whyBarred(user, this.#now()) : undefined;
    const reason = barred === undefined ? 'wrong password' : `${barred} user`;
    return { refusal: 'unauthenticated', reason: user === undefined ? 'unknown user' : reason };
  }

  /** One bcrypt for a credential, however many requests bring it at the same time (single flight). */
  #compareOnce(
    mac: string,
    name: string,
    password: string,
    address: string,
    known: string | undefined,
  ): Promise<Verdict> {
    const { failedLogins, comparePassword } = this.#ports;
    const job = this.#queue.run(addressKey(address), async (): Promise<Verdict> => {
      // Asked when its turn comes, so that a burst cannot pass the limiter before its first failure is counted.
      const waitMs = failedLogins.wait(address, known);
      if (waitMs > 0) return { waitMs };
      const user = this.#directory.byName(name);
      const hash = user?.passwordHash;
      const right = await comparePassword(password, hash ?? this.#directory.decoyFor(name));
      const isRight = right && user !== undefined && hash !== undefined;
      if (isRight && whyBarred(user, this.#now()) === undefined) {
        this.#verified.set(mac, { userId: user.id, passwordHash: hash });
      } else {
        failedLogins.record(address, known);
      }
      return isRight ? 'right' : 'wrong';
    });
    this.#inFlight.set(mac, job);
    const forget = () => this.#inFlight.delete(mac);
    job.then(forget, forget);
    return job;
  }

  #fail(address: string, user: string | undefined, reason: string): SignIn {
    return this.#count(this.#ports.failedLogins, address, user, reason);
  }

  #failToken(address: string, reason: string): SignIn {
    return this.#count(this.#failedTokens, address, undefined, reason);
  }

  #count(failures: FailedLogins, address: string, user: string | undefined, reason: string): SignIn {
    const waitMs = failures.wait(address, user);
    if (waitMs > 0) return this.#tooMany(waitMs);
    failures.record(address, user);
    return { refusal: 'unauthenticated', reason };
  }

  #tooMany(waitMs: number): SignIn {
    return { refusal: 'too-many-failures', reason: 'too many failed sign-ins', retryAfter: waitMs / 1_000 };
  }

  /** Over the submitted name and password alone, length-prefixed, and over nothing stored (SEC-50). */
  #mac(name: string, password: string): string {
    return createHmac('sha256', this.#processKey)
      .update(`${Buffer.byteLength(name)}:${name}${password}`)
      .digest('base64');
  }
}
