/**
 * Requests as the ollama command line makes them with `OLLAMA_AUTH=1`: https://github.com/ollama/ollama, `do` in
 * api/client.go and `Sign` in auth/auth.go. The program itself is in no registry that tests install from, so this stands
 * in for it; test/clients/ollamaCli.test.ts runs the program wherever it is installed.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createPublicKeyRecord, insertPublicKey } from '../../src/guard/identity/publicKey.ts';
import type { PublicKeyRecord, User } from '../../src/guard/identity/users.ts';
import type { RawRequest } from './rawClient.ts';

/** What the command line says it is. */
export const ollamaAgent = 'ollama/0.33.0 (amd64 linux) Go/go1.26.0';

/** The key of an ollama command line. */
export interface CliKey {
  /** The line of `~/.ollama/id_ed25519.pub`. */
  readonly line: string;
  /** The base64 in it. */
  readonly blob: string;
  /** What `~/.ollama/id_ed25519` holds, in a form that the command line reads too. */
  readonly pem: string;
  readonly privateKey: KeyObject;
}

/** Makes a key, as `ollama serve` does when there is none. */
export function createCliKey(comment = ''): CliKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const bytes = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const blob = Buffer.concat([wireString('ssh-ed25519'), wireString(bytes)]).toString('base64');
  return {
    line: ['ssh-ed25519', blob, ...(comment === '' ? [] : [comment])].join(' '),
    blob,
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    privateKey,
  };
}

/** A string in SSH's wire format (RFC 4251 §5). */
export function wireString(data: string | Buffer): Buffer {
  const bytes = Buffer.from(data as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** `Authorization` for a signed text. */
export function signed({ blob, privateKey }: CliKey, text: string): string {
  return `${blob}:${sign(null, Buffer.from(text), privateKey).toString('base64')}`;
}

/** The moment as the command line signs it, in seconds. */
export const seconds = (): number => Math.floor(Date.now() / 1_000);

/** A request as the command line sends it. */
export function signedRequest(
  key: CliKey,
  method: string,
  path: string,
  { body, at = seconds() }: { readonly body?: string; readonly at?: number } = {},
): RawRequest {
  const target = `${path}?ts=${at}`;
  const headers = {
    'user-agent': ollamaAgent,
    accept: 'application/json',
    'content-type': 'application/json',
    authorization: signed(key, `${method},${target}`),
  };
  return { method, path: target, headers, ...(body !== undefined && { body }) };
}

/** Gives a user a public key. */
export function withPublicKey(
  users: readonly User[],
  name: string,
  key: CliKey,
  change: Partial<PublicKeyRecord> = {},
): readonly User[] {
  return insertPublicKey(users, name, { ...createPublicKeyRecord(key.line), ...change });
}
