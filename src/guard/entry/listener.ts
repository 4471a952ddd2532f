import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { addressKey } from '../admission/failedLogins.ts';
import { type RefusalCode, refusalBody, refusalStatus } from '../answers.ts';
import type { GuardConfig } from '../config.ts';
import { isLoopback } from '../config.ts';
import { GuardError, systemErrorCode } from '../errors.ts';
import { tlsOptions } from '../tls/options.ts';
import type { Challenges } from '../tls/source.ts';
import { sniff } from './sniff.ts';

/** Connections beyond this are closed at once; 1,000 streams and their owners' other requests fit in. */
const maxConnections = 8_192;

/** One address beyond this computer gets so many of them (IPv6: one /64), so that a stranger cannot take them all. */
const maxConnectionsPerAddress = 1_024;

/** An idle client connection is kept for this long between requests, in milliseconds. */
const keepAliveTimeoutMs = 60_000;

/** After this long without a sign of life, TCP asks whether the other side is still there, in milliseconds. */
const tcpKeepAliveMs = 30_000;

const parserRefusals: Readonly<Record<string, RefusalCode>> = {
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
};

/** What listening was asked for. */
interface ListenArguments {
  readonly host: string;
  readonly port: number;
}

const listenErrors: Readonly<Record<string, (args: ListenArguments, cause: unknown) => GuardError>> = {
  EADDRINUSE: ({ port }, cause) =>
    new GuardError(
      'address-in-use',
      'Port {port} is in use by another program. Stop that program or choose another port.',
      { args: { port }, cause },
    ),
  EACCES: ({ port }, cause) =>
    new GuardError(
      'address-not-permitted',
      'This user may not listen on port {port}. Choose a port of 1024 or above.',
      { args: { port }, cause },
    ),
  EADDRNOTAVAIL: ({ host }, cause) =>
    new GuardError(
      'address-not-available',
      'This computer has no address {host}. Choose one of its own, or 127.0.0.1.',
      { args: { host }, cause },
    ),
  ENOTFOUND: ({ host }, cause) =>
    new GuardError('address-not-available', 'The host name {host} is not known. Choose an address.', {
      args: { host },
      cause,
    }),
};

/** What the listener hands on: a request whose headers are complete and well-formed. */
export type RequestHandler = (req: IncomingMessage, res: ServerResponse) => void;

/** What takes connections, encrypted or not. */
export type Listener = HttpServer | HttpsServer;

/** What a listener hands on. */
export interface ListenerEvents {
  readonly onRequest: RequestHandler;
  /** Called with what requests will come by: `req.socket`. */
  readonly onConnection: (socket: Socket) => void;
}

/** Connections that have not made a request yet: Node counts none of them as idle, and those in a handshake not at all. */
const fresh = new WeakMap<Listener, Set<Socket>>();

/**
 * The HTTP server, with every limit on what arrives set explicitly (SEC-66): header size and time, idle bodies, idle
 * readers, number of connections. Not yet listening, and without a certificate.
 *
 * With TLS it takes plain HTTP on the same port too: `isEncrypted` tells them apart, and whoever handles the request
 * says what may come that way.
 */
export function createListener(config: GuardConfig, events: ListenerEvents, challenges: Challenges): Listener {
  const limits = limitsOf(config);
  const encrypts = config.tls.mode !== 'off';
  const server = encrypts ? createHttpsServer({ ...limits, ...tlsOptions }) : createServer(limits);
  const waiting = new Set<Socket>();
  fresh.set(server, waiting);
  if (encrypts) sortConnections(server, waiting, config.headersTimeoutMs, challenges);
  server.on(encrypts ? 'secureConnection' : 'connection', (socket: Socket) => {
    waiting.add(socket);
    socket.on('close', () => waiting.delete(socket));
    events.onConnection(socket);
  });
  limitPerAddress(server);
  takeRequests(server, config, (req, res) => {
    waiting.delete(req.socket);
    events.onRequest(req, res);
  });
  return server;
}

/** To be called last: it has to see a connection before all others do. */
function limitPerAddress(server: Listener): void {
  const counts = new Map<string, number>();
  server.prependListener('connection', (socket: Socket) => {
    const { remoteAddress = '' } = socket;
    if (isLoopback(remoteAddress)) return;
    const key = addressKey(remoteAddress);
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    socket.on('close', () => {
      const left = (counts.get(key) ?? 1) - 1;
      if (left > 0) counts.set(key, left);
      else counts.delete(key);
    });
    if (count > maxConnectionsPerAddress) socket.destroy();
  });
}

/**
 * Sends each new connection the way it asks for: to the TLS handshake, to a directory's challenge, or as plain HTTP
 * past both. Its time is limited as a whole, from the first byte until it is open for requests.
 *
 * @param waiting has those that are not open yet.
 * @param timeoutMs milliseconds.
 */
function sortConnections(server: Listener, waiting: Set<Socket>, timeoutMs: number, challenges: Challenges): void {
  const timers = new Map<string, readonly [Socket, NodeJS.Timeout]>();
  const [handshake] = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket);
    const entry = [socket, setTimeout(() => socket.destroy(), timeoutMs)] as const;
    timers.set(peer, entry);
    waiting.add(socket);
    socket.on('close', () => {
      clearTimeout(entry[1]);
      waiting.delete(socket);
      if (timers.get(peer) === entry) timers.delete(peer);
    });
    // Whoever gets it listens too; between the two, nobody would.
    socket.on('error', () => {});
    sniff(socket, challenges.onAlpn !== undefined, (beginning) => {
      if (beginning === 'acme-challenge' && challenges.onAlpn !== undefined) challenges.onAlpn(socket);
      else if (beginning === 'plain') server.emit('secureConnection', socket);
      else handshake?.call(server, socket);
    });
  });
  server.on('secureConnection', (open: Socket) => {
    const peer = peerOf(open);
    const [socket, timer] = timers.get(peer) ?? [];
    timers.delete(peer);
    clearTimeout(timer);
    if (socket !== undefined) waiting.delete(socket);
  });
}

/** The same for a connection and what is encrypted on it, for which Node has no public name. */
function peerOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}

/** Whether a connection is encrypted. */
export function isEncrypted(socket: Socket): boolean {
  return 'encrypted' in socket && socket.encrypted === true;
}

/** Whether nothing but programs on this computer can read what a connection carries. */
export function staysOnThisComputer({ localAddress, remoteAddress }: Socket): boolean {
  return isLoopback(localAddress ?? '') && isLoopback(remoteAddress ?? '');
}

function limitsOf(config: GuardConfig) {
  return {
    maxHeaderSize: 16 * 1024,
    headersTimeout: config.headersTimeoutMs,
    // The whole request may take as long as a slow upload takes; idle ones are ended below.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.max(50, Math.min(1_000, config.headersTimeoutMs / 4)),
    keepAliveTimeout: keepAliveTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelay: tcpKeepAliveMs,
    noDelay: true,
    insecureHTTPParser: false,
    requireHostHeader: true,
  } as const;
}

function takeRequests(server: Listener, config: GuardConfig, handle: RequestHandler): void {
  server.maxConnections = maxConnections;
  // No header may drop out of sight of framing.ts; maxHeaderSize bounds their number.
  server.maxHeadersCount = 0;

  const current = new WeakMap<Socket, ServerResponse>();
  const accept: RequestHandler = (req, res) => {
    current.set(req.socket, res);
    endWhenIdle(req, res, config.idleTimeoutMs);
    handle(req, res);
  };
  server.on('request', accept);
  // `Expect: 100-continue` waits for the same decision; forward/ sends the 100 when the body is wanted.
  server.on('checkContinue', accept);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const res = current.get(socket);
    const answering = res !== undefined && !res.writableFinished;
    // Node 22 reads on behind an answer that ends its connection; what stands there is not answered.
    const isLast = res?.writableFinished === true && res.getHeader('connection') === 'close';
    if (isLast) socket.destroySoon();
    else if (!socket.writable || answering || error.code === 'ECONNRESET') socket.destroy();
    else socket.end(rawRefusal(parserRefusals[error.code ?? ''] ?? 'bad-request'), () => socket.destroy());
  });
}

/** @throws GuardError what stands in the way of listening. */
export async function listen(server: Listener, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  }).catch((cause: unknown) => {
    throw listenErrors[systemErrorCode(cause) ?? '']?.({ host, port }, cause) ?? cause;
  });
}

/** Where a server listens. */
export function listeningAt(server: Listener): AddressInfo {
  return server.address() as AddressInfo;
}

/** Stops listening, and cuts connections that have made no request yet. Fulfilled when the last one is gone. */
export function close(server: Listener): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const socket of fresh.get(server) ?? []) socket.destroy();
  return closed;
}

/**
 * Ends a request whose body stops arriving, and an answer that its reader stops taking. Any byte either way starts the
 * time anew, and an answer that Ollama has not begun (a model that loads for minutes) is not idle in this sense.
 */
function endWhenIdle(req: IncomingMessage, res: ServerResponse, idleTimeoutMs: number): void {
  const { socket } = req;
  socket.setTimeout(idleTimeoutMs);
  // Node destroys a timed-out socket unless somebody listens here: https://nodejs.org/api/http.html#event-timeout
  res.on('timeout', () => {
    const bodyStalled = !req.complete && req.readableFlowing !== false;
    // An answer may be complete here and still wait for its reader.
    const answerStalled = res.writableNeedDrain || (res.writableEnded && !res.writableFinished);
    if (answerStalled || (bodyStalled && res.headersSent)) socket.destroy();
    else if (bodyStalled) socket.end(rawRefusal('request-timeout'), () => socket.destroy());
    else socket.setTimeout(idleTimeoutMs);
  });
}

/** An answer written past Node's response object, for requests that never became one. */
function rawRefusal(code: RefusalCode): string {
  const status = refusalStatus(code);
  const body = refusalBody(code, '');
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');
}
