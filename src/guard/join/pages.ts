import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { joinPath } from '../share/inviteLink.ts';

/** Where the certificate is to be had that vouches for this endpoint. */
export const caPath = '/_guard/ca.pem';

const files: ReadonlyMap<string, readonly [file: string, type: string]> = new Map([
  [joinPath, ['join.html', 'text/html; charset=utf-8']],
  [`${joinPath}.css`, ['join.css', 'text/css; charset=utf-8']],
  [`${joinPath}.js`, ['join.js', 'text/javascript; charset=utf-8']],
]);

/** The methods that one of these pages takes, as `Allow` lists them; undefined when a path is none of them. */
export function methodsOf(path: string): string | undefined {
  if (path === joinPath) return 'GET, HEAD, POST';
  return files.has(path) || path === caPath ? 'GET, HEAD' : undefined;
}

/** What is answered: `type` is its media type. */
export interface Page {
  readonly type: string;
  readonly body: string | Buffer;
}

const read = new Map<string, Promise<Page>>();

/**
 * A page or what belongs to it, read once. Rejects when the file is missing beside this module or its bundle.
 *
 * @returns undefined when a path is none.
 */
export async function readPage(path: string): Promise<Page | undefined> {
  const [file, type] = files.get(path) ?? [];
  if (file === undefined || type === undefined) return undefined;
  const reading = read.get(path) ?? readFile(new URL(`./${file}`, import.meta.url)).then((body) => ({ type, body }));
  read.set(path, reading);
  // What is in the way may be gone the next time.
  reading.catch(() => read.delete(path));
  return reading;
}

/**
 * The page shows a key, so it loads nothing from elsewhere, sends nothing elsewhere, is shown in nobody's frame and is
 * kept nowhere. https://owasp.org/www-project-secure-headers/
 */
const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'cache-control': 'no-store',
} as const;

/** Answers with a page, or with what an invite was exchanged for. Node leaves the body out for HEAD. */
export function sendPage(res: ServerResponse, { type, body }: Page): void {
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  res.setHeader('content-type', type);
  res.setHeader('content-length', Buffer.byteLength(body));
  res.end(body);
}
