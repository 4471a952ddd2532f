import { createPublicKey, verify } from 'node:crypto';
import { canonicalPath } from '../entry/target.ts';

/** A signature as the ollama command line sends it with `OLLAMA_AUTH=1`, read and not verified. */
export interface Signature {
  /** The base64 of the public key, as `~/.ollama/id_ed25519.pub` has it after the type. */
  readonly publicKey: string;
  readonly signature: Buffer;
  /** What was signed: `METHOD,/path?ts=N`. */
  readonly text: string;
  /** When, in seconds since the epoch. */
  readonly at: number;
}

/** How far the two clocks may be apart, and so for how long a signature that was overheard is good; milliseconds. */
const windowMs = 60_000;

/**
 * `<base64 of the public key>:<base64 of the signature>`, without a scheme. Of one length alone, so that nothing long
 * is ever decoded: 51 bytes of key in the wire format of RFC 8709 §4 (`ssh-ed25519`, then 32 bytes, and nothing after
 * them) and 64 bytes of signature. The two bits that the last sign of the length shares with the key are 0.
 */
const form = /^(AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}):([A-Za-z0-9+/]{85}[AQgw]==)$/;

/** The command line signs with this query and no other. */
const timeQuery = /^ts=(\d{1,12})$/;

/**
 * Reads the signature that a request carries: https://github.com/ollama/ollama, `do` in api/client.go and `Sign` in
 * auth/auth.go. It covers the method, the path and the second, and not the body (SEC-61).
 *
 * @param authorization the header as it came.
 * @param target the request target as it came, its query included.
 * @returns undefined for anything that the command line would not send.
 */
export function readSignature(authorization: string, method: string, target: string): Signature | undefined {
  const [, publicKey, signature] = form.exec(authorization) ?? [];
  const path = canonicalPath(target);
  if (publicKey === undefined || signature === undefined || path === undefined) return undefined;
  const query = target.slice(path.length + 1);
  const [, seconds] = timeQuery.exec(query) ?? [];
  if (seconds === undefined) return undefined;
  return {
    publicKey,
    signature: Buffer.from(signature, 'base64'),
    text: `${method},${path}?${query}`,
    at: Number(seconds),
  };
}

/** Whether a signature was made by the key that it names. Says nothing of whose key that is, or of when. */
export function verifySignature({ publicKey, signature, text }: Signature): boolean {
  const x = Buffer.from(publicKey, 'base64').subarray(-32).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, Buffer.from(text), key, signature);
}

/**
 * Whether a signature is of about this moment. The command line signs with the second alone, and alike for two like
 * requests in one second, so that each cannot be good just once (SEC-61).
 *
 * @param now milliseconds since the epoch.
 */
export function isTimely({ at }: Signature, now: number): boolean {
  return Math.abs(now - at * 1_000) <= windowMs;
}
