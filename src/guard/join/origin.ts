import type { IncomingMessage } from 'node:http';
import { isEncrypted } from '../entry/listener.ts';
import { joinPath } from '../share/inviteLink.ts';

/** The Host header, once it has passed the Host rule, as a browser writes it into an origin. */
const hostIn = ({ headers }: IncomingMessage): string => (headers.host ?? '').toLowerCase();

/** The endpoint's origin on the connection a request came by. */
function ownOrigin(req: IncomingMessage): string {
  return `${isEncrypted(req.socket) ? 'https' : 'http'}://${hostIn(req)}`;
}

/**
 * Whether a browser sends a request to the join page's path for the page itself, or because a person followed a link to
 * it. The rule for all other pages is `isForeignPage`: nothing of a user's can be called from here.
 *
 * @param path the canonical path.
 */
export function isForJoinPage(req: IncomingMessage, path: string): boolean {
  if (path !== joinPath) return false;
  const { origin, 'sec-fetch-mode': mode, 'sec-fetch-dest': destination } = req.headers;
  if (req.method === 'POST') return origin === ownOrigin(req);
  // From a web mail, `Sec-Fetch-Site` says cross-site. A frame's destination is `iframe`.
  return origin === undefined && mode === 'navigate' && destination === 'document';
}

/**
 * Where whoever sent a request reaches the endpoint, such as `https://192.168.1.5:11435`. A page's origin, which was
 * allowed by now, knows of a proxy in front that encrypts.
 */
export function reachedAt(req: IncomingMessage): string {
  const encrypted = `https://${hostIn(req)}`;
  return req.headers.origin === encrypted ? encrypted : ownOrigin(req);
}
