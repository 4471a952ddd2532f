import {
  type ClientRequest,
  Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import httpProxy from 'http-proxy';
import { discardRest, type RefusalCode, refuse } from '../answers.ts';
import type { CheckedBody } from '../body/facts.ts';
import { continueIfExpected, watchBodySize } from '../entry/body.ts';
import { systemErrorCode } from '../errors.ts';
import type { BodyKind } from '../routes.ts';
import { clientHeaders, upstreamHeaders } from './headers.ts';
import { maxListBytes, readBytes } from './readJson.ts';
import { upstreamRefusal } from './upstreamErrors.ts';

/** A request whose user may make it, on its way to Ollama. */
export interface Forwarding {
  /** The canonical path: exactly what was checked, and exactly what is sent. */
  readonly path: string;
  readonly body: BodyKind;
  /** How large a body may be that flows by, in bytes. */
  readonly maxBodyBytes: number;
  /** What was read and checked, and is sent in place of what the client sends; without it that flows by unread. */
  readonly checked?: CheckedBody;
  /**
   * Gives an answer of status 200 another body before the client gets it, such as a list that a user sees a part of.
   * When it throws, nothing of the answer is shown.
   */
  readonly rewrite?: (body: Buffer) => Buffer;
  /** Set on the answer beside its own headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Called with an answer that is on its way to the client, for whoever watches it flow by. */
  readonly onAnswer?: (answer: IncomingMessage) => void;
  /** Called in place of a refusal when the other side failed before it answered, with the system error's code. */
  readonly onFailure?: (code: string | undefined) => void;
}

/** Where requests go, and how long it may take. Times in milliseconds, sizes in bytes. */
export interface ForwardConfig {
  readonly upstream: string;
  readonly upstreamIdleTimeoutMs: number;
  readonly upstreamConnectTimeoutMs: number;
}

/** What differs where the other side is not the Ollama of this computer. */
export interface ForwardOptions {
  /** How connections are made: certificates to trust, whom to expect. */
  readonly tls?: SecureContextOptions;
  /** Sent beside the allow-listed headers, such as a credential. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What to refuse with in place of an answer of this status; undefined passes the answer on. */
  readonly refusalOf?: (status: number) => RefusalCode | undefined;
  /** What the client gets of an answer's headers; `clientHeaders` unless given. */
  readonly answerHeaders?: (headers: IncomingHttpHeaders) => OutgoingHttpHeaders;
}

/** The last step of a request's way. */
export interface Forward {
  /** A request that was read to its end, and has no body, can be sent again after a failure, also by another. */
  (req: IncomingMessage, res: ServerResponse, forwarding: Forwarding): void;
  /** What holds the connections to the other side. */
  readonly agent: HttpAgent;
  /** Cuts every connection to the other side. */
  close(): void;
}

/** http-proxy sends a chunked DELETE on with its length set to 0; such bodies are a few names long. */
const maxBufferedBytes = 64 * 1024;

/** What the adapter knows of one exchange beside its request and response. */
interface Exchange extends Omit<Forwarding, 'checked'> {
  /** Set once the guard itself has answered or the exchange is over: later upstream errors are echoes. */
  settled: boolean;
  retried: boolean;
  upstream?: ClientRequest;
  /** Set while what Ollama answers is passed on. */
  answer?: IncomingMessage;
}

/** Where a request has its exchange. A WeakMap has the fault of other tables, see `Roster`. */
const exchangeOf = Symbol('exchange');

declare module 'node:http' {
  interface IncomingMessage {
    [exchangeOf]?: Exchange;
  }
}

/**
 * The one place that touches http-proxy, which is unmaintained and unsafe on its own; each rule here answers one of its
 * failures (P1 to P15, one test each in test/proxy): client gone, Ollama gone, lost and smuggled bodies, `Expect`,
 * leaking headers, collapsing slashes.
 */
export function createForward(config: ForwardConfig, options: ForwardOptions = {}): Forward {
  const { tls, headers, refusalOf, answerHeaders = clientHeaders } = options;
  const url = new URL(config.upstream);
  const secure = url.protocol === 'https:';
  const agentOptions = { keepAlive: true, scheduling: 'lifo' } as const;
  const agent = secure ? new HttpsAgent({ ...agentOptions, ...tls }) : new HttpAgent(agentOptions);
  const host = url.hostname.replace(/^\[|\]$/g, '');

  const proxy = httpProxy.createProxyServer({
    // An object and `toProxy`, so that no path is parsed or joined again: what was checked is what is sent.
    target: { protocol: url.protocol, host, hostname: host, port: url.port || (secure ? '443' : '80'), path: '' },
    toProxy: true,
    headers: { ...headers, host: url.host },
    agent,
    xfwd: false,
    // The response is written here: hop-by-hop headers, CORS and keep-alive are the guard's to decide.
    selfHandleResponse: true,
  });

  proxy.on('proxyReq', (upstream, req, res) => {
    const exchange = req[exchangeOf];
    if (res.destroyed || exchange === undefined || exchange.settled) {
      upstream.destroy();
      return;
    }
    exchange.upstream = upstream;
    limitWaiting(upstream, config, secure ? 'secureConnect' : 'connect', () => exchange.answer?.complete === true);
    // Nobody asked for another protocol. Node drops such a connection without an error, and the client would hang.
    upstream.on('upgrade', (_answer, socket) => {
      socket.destroy();
      proxy.emit('error', new Error('Ollama switched protocols unasked'), req, res);
    });
  });

  proxy.on('proxyRes', (answer, req, res) => {
    const exchange = req[exchangeOf];
    if (exchange === undefined || exchange.settled || res.headersSent || res.destroyed) {
      answer.destroy();
      return;
    }
    // Node's parser takes a status that its writer refuses with an exception, which would end the guard for everyone.
    const { statusCode = 0 } = answer;
    const refusal = statusCode < 200 || statusCode > 999 ? 'upstream-failed' : refusalOf?.(statusCode);
    if (refusal !== undefined) {
      exchange.settled = true;
      answer.destroy();
      refuse(res, refusal, exchange.path);
      return;
    }
    const headers: OutgoingHttpHeaders = { ...answerHeaders(answer.headers), ...exchange.headers };
    if (!res.shouldKeepAlive) headers.connection = 'close';
    if (exchange.rewrite !== undefined && statusCode === 200) {
      const fail = () => {
        exchange.settled = true;
        answer.destroy();
        refuse(res, 'upstream-failed', exchange.path);
      };
      answerRewritten(answer, req, res, headers, exchange.rewrite).catch(fail);
      return;
    }
    res.writeHead(statusCode, headers);
    exchange.answer = answer;
    passOn(answer, res);
    exchange.onAnswer?.(answer);
    // A stream's client learns at once that its request is being answered; what came with the head leaves along with it.
    if (headers['content-length'] === undefined) setImmediate(flushUnsent, res, answer);
  });

  proxy.on('error', (error, req, res) => {
    if (!('setHeader' in res)) {
      res.destroy();
      return;
    }
    const exchange = req[exchangeOf];
    // What came whole is passed on whole, whatever becomes of the connection.
    if (exchange === undefined || exchange.settled || exchange.answer?.complete) return;
    if (mayRetry(req, res, exchange)) {
      exchange.retried = true;
      send(req, res, readableOf([]));
      return;
    }
    exchange.settled = true;
    const code = systemErrorCode(error);
    if (res.headersSent || res.destroyed) res.destroy();
    else if (exchange.onFailure !== undefined) exchange.onFailure(code);
    else refuse(res, upstreamRefusal(code), exchange.path);
  });

  const send = (req: IncomingMessage, res: ServerResponse, body?: Readable) => {
    proxy.web(req, res, body === undefined ? {} : { buffer: body });
  };

  const forward = (req: IncomingMessage, res: ServerResponse, forwarding: Forwarding) => {
    // An answer may go on for long: what was read is held by nothing that lives as long, closures included.
    const { checked, ...rest } = forwarding;
    const exchange: Exchange = { ...rest, settled: false, retried: false };
    req[exchangeOf] = exchange;
    if (checked === undefined) continueIfExpected(req, res);
    res.on('close', () => {
      exchange.settled = true;
      const { upstream, answer } = exchange;
      // Ollama stops generating when its client is gone; without this it never learns (P1, P2). When it has said all, that
      // is read to its end, which `pipe` leaves waiting for a reader for ever: its numbers are there.
      if (answer?.complete === true && !answer.readableEnded) setImmediate(() => answer.resume());
      else if (!res.writableFinished || !req.complete) upstream?.destroy();
      // Ollama may answer before it has read the whole body, and close or read no more; then nobody waits for it to.
      if (upstream?.writableFinished === false) upstream.destroy();
      discardRest(req);
    });
    req.url = exchange.path;
    req.headers = upstreamHeaders(req.headers);
    if (checked !== undefined) {
      delete req.headers['transfer-encoding'];
      req.headers['content-length'] = String(checked.length);
      if (checked.contentType !== undefined) req.headers['content-type'] = checked.contentType;
      send(req, res, readableOf(checked.parts));
      return;
    }
    const tooLarge = () => {
      exchange.settled = true;
      exchange.upstream?.destroy();
      if (res.headersSent) res.destroy();
      else refuse(res, 'body-too-large', exchange.path);
    };
    if (req.method === 'DELETE' && req.headers['transfer-encoding'] !== undefined) {
      readAll(req, maxBufferedBytes, tooLarge, (body) => {
        delete req.headers['transfer-encoding'];
        req.headers['content-length'] = String(body.length);
        send(req, res, readableOf([body]));
      });
      return;
    }
    if (req.method === 'POST' && req.headers['transfer-encoding'] === undefined) req.headers['content-length'] ??= '0';
    send(req, res, req.readableEnded ? readableOf([]) : undefined);
    if (exchange.body !== 'none') watchBodySize(req, exchange.maxBodyBytes, tooLarge);
  };

  return Object.assign(forward, { agent, close: () => agent.destroy() });
}

/**
 * Bounds the waits on Ollama: for a connection, and for the next byte. The second is longer than any model takes to
 * load, and every byte starts it anew (SEC-65).
 *
 * @param isAnswered whether all of the answer is here, so that it is the client that is waited for.
 */
function limitWaiting(
  upstream: ClientRequest,
  config: ForwardConfig,
  connected: 'connect' | 'secureConnect',
  isAnswered: () => boolean,
): void {
  const giveUp = () => {
    if (isAnswered()) return;
    upstream.destroy(Object.assign(new Error('Ollama did not answer in time'), { code: 'ETIMEDOUT' }));
  };
  upstream.setTimeout(config.upstreamIdleTimeoutMs);
  upstream.on('timeout', giveUp);
  if (upstream.socket?.connecting) {
    const timer = setTimeout(giveUp, config.upstreamConnectTimeoutMs);
    const stop = () => {
      clearTimeout(timer);
      upstream.off('close', stop);
    };
    upstream.socket.once(connected, stop);
    upstream.on('close', stop);
  }
}

/**
 * A kept-alive connection that Ollama closed (a restart) at the moment it was used again fails before an answer. What
 * has no body is sent once more: https://github.com/http-party/node-http-proxy/issues/1618
 */
function mayRetry(req: IncomingMessage, res: ServerResponse, { upstream, retried, body }: Exchange): boolean {
  const untouched = !retried && !res.headersSent && !res.destroyed;
  return untouched && body === 'none' && req.complete && upstream?.reusedSocket === true;
}

/** Sends the head of an answer, unless it has gone along with the first of its body. */
function flushUnsent(res: ServerResponse, answer: IncomingMessage): void {
  if (!answer.readableDidRead && !res.writableEnded && !res.destroyed) res.flushHeaders();
}

/**
 * What is in memory, as far as http-proxy takes it for a stream: a real one would cost as much as the rest of a request.
 * It can be piped once; http-proxy holds on to it for as long as the answer goes on.
 */
function readableOf(parts: readonly Buffer[]): Readable {
  let unsent = parts;
  const pipe = (to: ClientRequest) => {
    const last = unsent.at(-1);
    for (const part of unsent.slice(0, -1)) to.write(part);
    unsent = [];
    return to.end(last);
  };
  return { pipe } as unknown as Readable;
}

/** Whatever ends the answer before its end ends what its client gets of it. */
function passOn(answer: IncomingMessage, res: ServerResponse): void {
  answer.on('error', () => res.destroy());
  answer.on('close', () => {
    if (!answer.complete) res.destroy();
  });
  answer.pipe(res);
}

/** Answers with what `rewrite` makes of an answer of status 200. Rejects when either fails. */
async function answerRewritten(
  answer: IncomingMessage,
  { method }: IncomingMessage,
  res: ServerResponse,
  headers: OutgoingHttpHeaders,
  rewrite: (body: Buffer) => Buffer,
): Promise<void> {
  const read = await readBytes(answer, maxListBytes);
  const body = method === 'HEAD' ? undefined : rewrite(read);
  if (res.headersSent || res.destroyed) return;
  if (body === undefined) delete headers['content-length'];
  else headers['content-length'] = String(body.length);
  res.writeHead(200, headers).end(body);
}

function readAll(req: IncomingMessage, maxBytes: number, onTooLarge: () => void, onEnd: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const onData = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBytes) {
      chunks.push(chunk);
      return;
    }
    req.off('data', onData).off('end', finish);
    onTooLarge();
  };
  const finish = () => onEnd(Buffer.concat(chunks));
  req.on('data', onData).on('end', finish);
}
