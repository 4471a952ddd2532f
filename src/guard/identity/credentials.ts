import type { IncomingHttpHeaders } from 'node:http';
import { apiKeyId } from './apiKey.ts';
import type { Signature } from './signature.ts';

/** What a request says about who sends it. */
export type Credential =
  /** Nothing, or one of the words clients send because their field may not be empty: no failed login (SEC-56). */
  | { readonly kind: 'none' }
  /** Something that cannot be a credential of ours. */
  | { readonly kind: 'invalid' }
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  /** An API key; `user` when it came as the password of Basic. */
  | { readonly kind: 'key'; readonly id: string; readonly text: string; readonly user?: string }
  /** A signature of the ollama command line; see signature.ts. */
  | { readonly kind: 'signature'; readonly signature: Signature }
  /** What has the form of a JSON Web Token (RFC 7519). */
  | { readonly kind: 'token'; readonly text: string };

const none: Credential = { kind: 'none' };
const invalid: Credential = { kind: 'invalid' };

/** Placeholders that SDKs and editors send in place of a key. */
const dummies: ReadonlySet<string> = new Set(['', 'ollama', 'undefined', 'null', 'none', 'dummy', 'EMPTY', 'sk-dummy']);

/**
 * Reads the credential of a request from `Authorization` (Basic or Bearer) or `x-api-key`; never from the URL or the
 * body (SEC-42, SEC-62). `Authorization` decides when both hold one. RFC 7617, RFC 6750.
 */
export function readCredential(headers: IncomingHttpHeaders): Credential {
  const fromAuthorization = readAuthorization(headers.authorization);
  if (fromAuthorization.kind !== 'none') return fromAuthorization;
  const apiKey = headers['x-api-key'];
  return typeof apiKey === 'string' ? readToken(apiKey) : none;
}

function readAuthorization(header: string | undefined): Credential {
  if (header === undefined) return none;
  const space = header.indexOf(' ');
  const scheme = (space === -1 ? header : header.slice(0, space)).toLowerCase();
  const rest = space === -1 ? '' : header.slice(space + 1).trim();
  if (scheme === 'bearer') return readToken(rest);
  return scheme === 'basic' ? readBasic(rest) : invalid;
}

function readToken(text: string): Credential {
  const id = apiKeyId(text);
  if (id !== undefined) return { kind: 'key', id, text };
  return dummies.has(text.trim()) ? none : invalid;
}

function readBasic(base64: string): Credential {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return invalid;
  const decoded = Buffer.from(base64, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon === -1) return invalid;
  const user = decoded.slice(0, colon);
  const password = decoded.slice(colon + 1);
  const id = apiKeyId(password);
  return id === undefined ? { kind: 'password', user, password } : { kind: 'key', id, text: password, user };
}
