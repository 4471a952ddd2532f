import type { IncomingHttpHeaders } from 'node:http';
import { apiKeyId } from './apiKey.ts';
import { readSignature, type Signature } from './signature.ts';

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

/** Three parts in base64url: RFC 7515 §3.1. */
const tokenForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** In characters: as much as the headers of a request may hold in all. */
export const maxTokenLength = 16 * 1024;

/** What of a request the ollama command line signs: the method, and the target with its query, as they came. */
export interface SignedRequest {
  readonly method: string;
  readonly target: string;
}

/**
 * Reads the credential of a request from `Authorization` (Basic, Bearer, or a signature) or `x-api-key`; never from the
 * URL or the body (SEC-42, SEC-62). `Authorization` decides when both hold one. RFC 7617, RFC 6750.
 *
 * @param request what a signature is of; without it none is read.
 */
export function readCredential(headers: IncomingHttpHeaders, request?: SignedRequest): Credential {
  const fromAuthorization = readAuthorization(headers.authorization, request);
  if (fromAuthorization.kind !== 'none') return fromAuthorization;
  const apiKey = headers['x-api-key'];
  return typeof apiKey === 'string' ? readKey(apiKey) : none;
}

function readAuthorization(header: string | undefined, request: SignedRequest | undefined): Credential {
  if (header === undefined) return none;
  const space = header.indexOf(' ');
  const scheme = (space === -1 ? header : header.slice(0, space)).toLowerCase();
  const rest = space === -1 ? '' : header.slice(space + 1).trim();
  if (scheme === 'bearer') return isToken(rest) ? { kind: 'token', text: rest } : readKey(rest);
  if (scheme === 'basic') return readBasic(rest);
  const signature = request && readSignature(header, request.method, request.target);
  return signature === undefined ? invalid : { kind: 'signature', signature };
}

function isToken(text: string): boolean {
  return text.length <= maxTokenLength && tokenForm.test(text);
}

function readKey(text: string): Credential {
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
