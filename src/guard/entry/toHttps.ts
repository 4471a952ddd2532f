import type { IncomingMessage } from 'node:http';
import { hasBody } from './body.ts';

/** What would have travelled in the clear, and would again after a redirect that nobody notices. */
const credentialHeaders = ['authorization', 'proxy-authorization', 'x-api-key', 'cookie'] as const;

/**
 * Where plain HTTP at an encrypted endpoint is redirected to; undefined when it gets a refusal in words instead: it
 * holds a credential, whose owner has to learn that it was sent in the clear, or does more than read. The query is
 * dropped, as everywhere.
 *
 * @param path canonical. The Host header has passed the Host rule: nothing else may become an address (SEC-13).
 */
export function httpsAddress(req: IncomingMessage, path: string): string | undefined {
  const { method, headers } = req;
  const reads = (method === 'GET' || method === 'HEAD') && !hasBody(req);
  const tells = credentialHeaders.some((name) => headers[name] !== undefined);
  return reads && !tells ? `https://${headers.host}${path}` : undefined;
}
