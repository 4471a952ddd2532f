import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { JSONWebKeySet } from 'jose';
import * as z from 'zod/mini';
import { readJson } from '../forward/readJson.ts';
import { isLoopbackHttp, type TokenIssuer } from '../policy/policyDocument.ts';

/** For everything that is asked of an issuer in one go, in milliseconds. */
const timeoutMs = 5_000;

/** OpenID Connect Discovery 1.0 §4.2, also RFC 8414 §3.2. */
const discoveryDocument = z.object({ issuer: z.string(), jwks_uri: z.string() });

const jwkSet = z.object({ keys: z.array(z.unknown()) });

/** A key that can verify and do nothing else: never a secret one, nor one for encryption (RFC 7517 §4.2). */
const verifyingKey = z.looseObject({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  use: z.exactOptional(z.literal('sig')),
  d: z.exactOptional(z.never()),
});

/**
 * Gets the keys that an issuer signs with: from where its configuration or else its discovery document says. Nothing
 * else of a token or a document is ever asked for, and no redirect is followed. Keys that cannot be used are left out
 * (RFC 7517 §5).
 *
 * @param closed gives up.
 * @throws Error saying what was wrong, in words for the owner's log.
 */
export async function loadKeys({ issuer, jwksUri }: TokenIssuer, closed: AbortSignal): Promise<JSONWebKeySet> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([closed, timeout]);
  try {
    const { success, data } = jwkSet.safeParse(await getJson(jwksUri ?? (await discover(issuer, signal)), signal));
    if (!success) throw new Error('no JSON Web Key Set is there');
    return { keys: data.keys.flatMap((key) => verifyingKey.safeParse(key).data ?? []) } as JSONWebKeySet;
  } catch (cause) {
    if (timeout.aborted) throw new Error(`no answer within ${timeoutMs / 1_000} s`, { cause });
    throw cause;
  }
}

/** Where the discovery document of an issuer is: OpenID Connect Discovery 1.0 §4. */
export function discoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
}

async function discover(issuer: string, signal: AbortSignal): Promise<string> {
  const { success, data } = discoveryDocument.safeParse(await getJson(discoveryUrl(issuer), signal));
  if (!success) throw new Error('no discovery document is there');
  if (data.issuer !== issuer) throw new Error('the discovery document is of another issuer');
  const uri = URL.parse(data.jwks_uri);
  // An issuer that is not on this computer names nothing on it either.
  if (uri?.protocol !== 'https:' && !(uri && isLoopbackHttp(uri) && isLoopbackHttp(new URL(issuer)))) {
    throw new Error('jwks_uri is no https address');
  }
  return data.jwks_uri;
}

async function getJson(address: string, signal: AbortSignal): Promise<unknown> {
  const res = await get(new URL(address), signal);
  try {
    if (res.statusCode !== 200) throw new Error(`HTTP ${res.statusCode}`);
    return await readJson(res);
  } finally {
    res.destroy();
  }
}

function get(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const headers = { accept: 'application/json, application/jwk-set+json' };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  // 'close' also ends what no error tells of: an answer of 101, which nobody asked for.
  const closed = () => reject(new Error('the connection was closed without an answer'));
  // Said here, because an environment variable would switch it off: NODE_TLS_REJECT_UNAUTHORIZED.
  request(url, { headers, agent: false, signal, rejectUnauthorized: true }, resolve)
    .on('error', reject)
    .once('close', closed)
    .end();
  return promise;
}
