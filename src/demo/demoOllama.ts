import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { DEFAULT_TOKENS } from './answer.ts';
import { type Call, type Demo, type Handler, send, sendError } from './call.ts';
import { Catalogue } from './catalogue.ts';
import { applyCors } from './cors.ts';
import { DEMO_VERSION } from './native.ts';
import { Pacer } from './pacer.ts';
import { matchPath } from './routes.ts';

/** A request as it arrived, for tests that look at what a proxy sent. */
export interface ObservedRequest {
  readonly method: string;
  /** The request target, untouched: path and query, still percent-encoded. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, in order, with duplicates and letter case. */
  readonly rawHeaders: readonly string[];
}

export interface DemoOptions {
  /** Address to listen on; 127.0.0.1 unless told. */
  readonly host?: string;
  /** Port to listen on; 0, the default, takes a free one. */
  readonly port?: number;
  /** Speed of an answer; 0, the default, or Infinity is as fast as the client reads. */
  readonly tokensPerSecond?: number;
  /** Milliseconds before the first token; 0 unless told. */
  readonly firstTokenDelayMs?: number;
  /** Length of an answer in tokens, unless the caller limits it further. */
  readonly tokens?: number;
  /** `*` lets every web page call, as OLLAMA_ORIGINS=* does; otherwise foreign origins are refused. */
  readonly origins?: '*';
  /** What it calls its version. */
  readonly version?: string;
  /** Whether somebody is signed in to ollama.com; its cloud is off unless told. */
  readonly account?: 'signed-in' | 'signed-out';
  /** Names of installed models that run on ollama.com, such as `gpt-oss:120b-cloud`. */
  readonly cloudModels?: readonly string[];
  /** Told of every request before it is answered. */
  readonly observe?: (request: ObservedRequest) => void;
}

export interface DemoOllama {
  /** `http://host:port`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Answers being produced right now, pretended pulls among them. */
  readonly generating: number;
  /** Stops at once: running answers are cut off. May be called again. */
  stop(): Promise<void>;
}

const MAX_HEADER_BYTES = 1_048_576;
const BACKLOG = 4_096;

/**
 * Starts a stand-in for Ollama: every route, in the true shapes, with made-up answers that say so. Nothing is read
 * from or written to disk, and nothing goes out.
 *
 * Rejects with a RangeError for an option that is no count, and with the system's error when it cannot listen.
 */
export async function startDemoOllama(options: DemoOptions = {}): Promise<DemoOllama> {
  const { host = '127.0.0.1', port = 0, tokensPerSecond = 0, firstTokenDelayMs = 0, tokens = DEFAULT_TOKENS } = options;
  mustCount({ tokensPerSecond, firstTokenDelayMs, tokens });
  if (!Number.isSafeInteger(tokens)) throw new RangeError(`tokens must be a whole number, got ${tokens}`);
  const pacer = new Pacer({ tokensPerSecond, firstTokenDelayMs });
  const demo: Demo = {
    catalogue: new Catalogue(options.cloudModels),
    pacer,
    blobs: new Set(),
    tokens,
    version: options.version ?? DEMO_VERSION,
    account: options.account,
  };

  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 0 }, (req, res) => {
    options.observe?.(observedOf(req));
    if (applyCors(req, res, options.origins === '*')) answer(demo, req, res);
  });
  // Ollama closes no idle connection, so neither may its stand-in: a proxy that pools them would meet a reset.
  server.keepAliveTimeout = 0;
  server.listen({ host, port, backlog: BACKLOG });
  await once(server, 'listening');

  const address = server.address() as AddressInfo;
  let stopped: Promise<void> | undefined;
  return {
    url: `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`,
    port: address.port,
    get generating() {
      return pacer.running;
    },
    stop: () => {
      stopped ??= close(server);
      return stopped;
    },
  };
}

function mustCount(options: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (!(value >= 0)) throw new RangeError(`${name} must be 0 or more, got ${value}`);
  }
}

function observedOf(req: IncomingMessage): ObservedRequest {
  return { method: req.method ?? '', path: req.url ?? '', headers: req.headers, rawHeaders: req.rawHeaders };
}

function answer(demo: Demo, req: IncomingMessage, res: ServerResponse): void {
  const { path, query } = targetOf(req.url ?? '/');
  const match = matchPath(path);
  const handle = match?.handlers.get(req.method ?? '');
  if (match === undefined) noRoute(req, res, path);
  else if (handle === undefined) wrongMethod(res, match.handlers.keys());
  else run(handle, { demo, req, res, path, query, param: match.param });
}

function run(handle: Handler, call: Call): void {
  try {
    handle(call)?.catch((cause: unknown) => sendError(call, cause));
  } catch (cause) {
    sendError(call, cause);
  }
}

/** Splits a request target, absolute or not, and decodes the path: gin matches `/api/%70ull` as `/api/pull`. */
function targetOf(target: string): { path: string; query: string } {
  const mark = target.indexOf('?');
  const raw = (mark === -1 ? target : target.slice(0, mark)).replace(/^https?:\/\/[^/]*/i, '') || '/';
  return { path: raw.includes('%') ? decoded(raw) : raw, query: mark === -1 ? '' : target.slice(mark + 1) };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** gin sends a path with a slash too many on to the right one. */
function noRoute(req: IncomingMessage, res: ServerResponse, path: string): void {
  const trimmed = path.slice(0, -1);
  if (path.endsWith('/') && matchPath(trimmed) !== undefined) {
    res.writeHead(req.method === 'GET' ? 301 : 307, { Location: encodeURI(trimmed), 'Content-Length': 0 }).end();
  } else {
    send(res, 404, 'text/plain', '404 page not found');
  }
}

function wrongMethod(res: ServerResponse, allowed: Iterable<string>): void {
  res.setHeader('Allow', [...allowed].join(', '));
  send(res, 405, 'text/plain', '405 method not allowed');
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
