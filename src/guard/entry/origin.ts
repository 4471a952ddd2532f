import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';

/** Request headers a page of a configured origin may send: what SDKs send from a browser, and nothing else. */
const requestHeader = /^(accept|authorization|content-type|user-agent|x-api-key|(anthropic|x-stainless)-[a-z-]{1,64})$/;

/** Beside what every page may read of an answer: the guard's own words on limits. */
const readableHeaders = [
  'retry-after',
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
  'ratelimit-policy',
  'ollama-guard-clamped',
].join(', ');

/** `Sec-Fetch-Site` values that say no other site is behind the request. */
const ownSites: ReadonlySet<string | undefined> = new Set([undefined, 'none', 'same-origin']);

/**
 * Whether a browser page that was not configured is behind this request. Such a page is refused even with good
 * credentials, because a browser sends the Basic credentials it has cached along with any site's requests. A page can
 * call without an Origin (an image, a form's GET); `Sec-Fetch-Site` tells on those.
 */
export function isForeignPage(headers: IncomingHttpHeaders, allowed: ReadonlySet<string>): boolean {
  const { origin } = headers;
  if (origin !== undefined) return !allowed.has(origin);
  return !ownSites.has(headers['sec-fetch-site'] as string | undefined);
}

/** Whether this is a CORS preflight: https://fetch.spec.whatwg.org/#cors-preflight-request */
export function isPreflight(req: IncomingMessage): boolean {
  return (
    req.method === 'OPTIONS' &&
    req.headers.origin !== undefined &&
    req.headers['access-control-request-method'] !== undefined
  );
}

/** Answers the preflight of a configured origin. The guard does this itself; Ollama never sees it. */
export function answerPreflight(req: IncomingMessage, res: ServerResponse): void {
  const asked = (req.headers['access-control-request-headers'] ?? '').split(',').map((name) => name.trim());
  allowOrigin(req, res);
  res.setHeader('access-control-allow-methods', 'GET, HEAD, POST, DELETE');
  res.setHeader('access-control-allow-headers', asked.filter((name) => requestHeader.test(name)).join(', '));
  res.setHeader('access-control-max-age', '600');
  if (req.headers['access-control-request-private-network'] === 'true') {
    res.setHeader('access-control-allow-private-network', 'true');
  }
  res.statusCode = 204;
  res.end();
}

/**
 * Lets a page of the configured origin that is asking read the answer. The origin is in the configured list by now, so
 * this is no reflection, and there is no `Allow-Credentials`: such a page sends its own Authorization (SEC-14).
 */
export function allowOrigin(req: IncomingMessage, res: ServerResponse): void {
  if (req.headers.origin === undefined) return;
  res.setHeader('access-control-allow-origin', req.headers.origin);
  res.setHeader('access-control-expose-headers', readableHeaders);
  res.setHeader('vary', 'origin');
}
