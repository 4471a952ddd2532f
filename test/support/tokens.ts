import { exportJWK, generateKeyPair, type JSONWebKeySet, type JWK, type JWTHeaderParameters, SignJWT } from 'jose';
import { TokenVerifier } from '../../src/guard/identity/tokenVerifier.ts';
import type { TokenIssuer } from '../../src/guard/policy/policyDocument.ts';

/** A key pair of an issuer. */
export interface SigningKey {
  readonly privateKey: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
  /** As a key set has it. */
  readonly jwk: JWK & { readonly kid: string; readonly alg: string };
}

/** Makes a key pair. */
export async function signingKey(kid: string, alg = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

/** The issuer of most tests. */
export const issuer: TokenIssuer = {
  issuer: 'https://login.example.org/team',
  audience: ['ollama', 'ollama-staging'],
  defaultRole: 'member',
};

/** When most tests take place, in seconds since the epoch. */
export const noon = Date.parse('2026-06-01T12:00:00Z') / 1_000;

/** The claims of a token that is good at noon; those of `changes` that are undefined are left out. */
export function claimsAtNoon(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { iss: issuer.issuer, aud: 'ollama', sub: 'anna', iat: noon - 10, exp: noon + 600, ...changes };
}

/** Signs a token. */
export function sign(
  { privateKey, jwk }: SigningKey,
  claims: Record<string, unknown> = claimsAtNoon(),
  header: Partial<JWTHeaderParameters> = {},
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: jwk.alg, kid: jwk.kid, ...header }).sign(privateKey);
}

/** A token put together from its parts, whatever they are. */
export function assemble(header: unknown, claims: unknown, signature = ''): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(claims)}.${signature}`;
}

/** A verifier whose issuers' keys, answers and clock a test changes. */
export function createVerifier(keys: readonly JWK[], issuers: readonly TokenIssuer[] = [issuer]) {
  const world = {
    /** Milliseconds since the epoch. */
    time: noon * 1_000,
    /** What the issuer answers. */
    answer: async (): Promise<JSONWebKeySet> => ({ keys: [...keys] }),
    /** How often it was asked. */
    asked: 0,
  };
  const verifier = new TokenVerifier(issuers, {
    now: () => world.time,
    loadKeys: () => {
      world.asked += 1;
      return world.answer();
    },
  });
  /** The name of whom a token lets in, or why it lets in nobody. */
  const outcome = async (token: string | Promise<string>): Promise<string> => {
    const result = await verifier.verify(await token);
    return 'identity' in result ? result.identity.user.name : `${result.refusal}: ${result.reason}`;
  };
  return { verifier, world, outcome };
}
