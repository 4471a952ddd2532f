import { hash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';

const idAlphabet = 'abcdefghijkmnpqrstuvwxyz23456789';
const keyFormat = /^og_([a-z2-9]{10})_[A-Za-z0-9_-]{43}$/;

/** An id of ten characters, about 50 bits: enough to be unique, not a secret. */
export function createId(): string {
  return Array.from({ length: 10 }, () => idAlphabet[randomInt(idAlphabet.length)]).join('');
}

/** A new API key, `og_<id>_<secret>` with 256 random bits. The text is shown once; the digest is what is kept. */
export function createApiKey(): { readonly id: string; readonly text: string; readonly sha256: string } {
  const id = createId();
  const text = `og_${id}_${randomBytes(32).toString('base64url')}`;
  return { id, text, sha256: digestApiKey(text).toString('hex') };
}

/**
 * The id inside a key's text, or undefined when it is not of a key's form. Format before use: nothing else of a
 * submitted token is ever looked up (SEC-43).
 */
export function apiKeyId(text: string): string | undefined {
  return keyFormat.exec(text)?.[1];
}

/** The digest a key is known by. 256 random bits need no slow hash. */
export function digestApiKey(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

const nobody = Buffer.alloc(32);

/** Whether a key's text has this digest (64 hex digits); in constant time, also when there is no digest to compare. */
export function matchesApiKey(text: string, sha256: string | undefined): boolean {
  const expected = sha256 === undefined ? nobody : Buffer.from(sha256, 'hex');
  return timingSafeEqual(digestApiKey(text), expected) && sha256 !== undefined;
}
