import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/**
 * The request headers Ollama gets to see. An allow-list, because aliases and spellings of credential and identity
 * headers cannot be enumerated (SEC-28), and because Ollama passes every header but Authorization on to ollama.com for
 * cloud models (SEC-41). `accept-encoding` is left out on purpose: a compressed stream is a buffered stream (SEC-64).
 */
const toUpstream = [
  'accept',
  'content-type',
  'content-length',
  'transfer-encoding',
  'user-agent',
  'anthropic-version',
  'anthropic-beta',
] as const;

/**
 * Response headers that describe the hop to Ollama, or that the guard decides itself. Whether an answer is chunked
 * follows from the client's HTTP version and is Node's to say.
 */
const notToClient: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'set-cookie',
  'server',
  'strict-transport-security',
  'vary',
]);

const fromEndpoint = ['content-type', 'content-length', 'retry-after', 'allow', 'date'] as const;

/**
 * What a program here gets of a joined endpoint's headers. Its owner is somebody else: what they send must not be a
 * page with scripts of a loopback origin, which Ollama and others on this computer trust.
 */
export function endpointHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    'x-accel-buffering': 'no',
  };
  for (const name of fromEndpoint) if (headers[name] !== undefined) kept[name] = headers[name];
  return kept;
}

/** The allow-listed request headers, nothing else. */
export function upstreamHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const kept: IncomingHttpHeaders = {};
  for (const name of toUpstream) {
    const value = headers[name];
    if (value !== undefined) kept[name] = value as string;
  }
  return kept;
}

/**
 * The response headers for the client: without hop-by-hop headers and every name that `connection` lists, and without
 * Ollama's own CORS decision, which was made by another origin rule than the guard's. Any proxy further on is asked
 * not to buffer (SEC-64).
 */
export function clientHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const listed =
    headers.connection
      ?.toLowerCase()
      .split(',')
      .map((name) => name.trim()) ?? [];
  const kept: OutgoingHttpHeaders = { 'x-accel-buffering': 'no' };
  for (const name in headers) {
    if (notToClient.has(name) || name.startsWith('access-control-') || listed.includes(name)) continue;
    kept[name] = headers[name];
  }
  return kept;
}
