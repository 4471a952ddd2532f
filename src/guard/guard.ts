import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createFailedLogins, type FailedLogins } from './admission/failedLogins.ts';
import { type RefusalCode, type RefusalDetails, refuse } from './answers.ts';
import { endpointUrl, type GuardConfig, isLoopback } from './config.ts';
import { bodyProblem, hasBody } from './entry/body.ts';
import { framingProblem } from './entry/framing.ts';
import { createHostRule, hostOf } from './entry/host.ts';
import { createListener } from './entry/listener.ts';
import { allowOrigin, answerPreflight, isForeignPage, isPreflight } from './entry/origin.ts';
import { canonicalPath } from './entry/target.ts';
import { GuardError, type GuardErrorCode, systemErrorCode } from './errors.ts';
import { createForward, type Forward } from './forward/forward.ts';
import { Authenticator, type ComparePassword, type Identity } from './identity/authenticator.ts';
import { readCredential } from './identity/credentials.ts';
import type { User } from './identity/users.ts';
import { decide } from './policy/policy.ts';
import { routesOf } from './routes.ts';
import { type Report, Reporter } from './usage/events.ts';

/** What a guard needs from outside. */
export interface GuardOptions {
  readonly config: GuardConfig;
  readonly users: readonly User[];
  readonly comparePassword: ComparePassword;
  /** Gets events and counts in batches. */
  readonly onReport: (report: Report) => void;
  readonly failedLogins?: FailedLogins;
}

/** Reports come at most four times a second. */
const reportIntervalMs = 250;

/** Requests under way on one connection; clients that pipeline at all stay below this. */
const maxPipelined = 8;

/** How often streams are held against what their credential has become, in milliseconds: it may have run out. */
const expiryCheckMs = 1_000;

const listenErrors: Readonly<Record<string, readonly [GuardErrorCode, (config: GuardConfig) => string]>> = {
  EADDRINUSE: [
    'address-in-use',
    ({ port }) => `Port ${port} is in use by another program. Stop that program or choose another port.`,
  ],
  EACCES: [
    'address-not-permitted',
    ({ port }) => `This user may not listen on port ${port}. Choose a port of 1024 or above.`,
  ],
  EADDRNOTAVAIL: [
    'address-not-available',
    ({ host }) => `This computer has no address ${host}. Choose one of its own, or 127.0.0.1.`,
  ],
  ENOTFOUND: ['address-not-available', ({ host }) => `The host name ${host} is not known. Choose an address.`],
};

/** The running guard: the steps of a request's way, strung together. */
export class Guard {
  readonly #config: GuardConfig;
  readonly #server: Server;
  readonly #forward: Forward;
  readonly #authenticator: Authenticator;
  readonly #reporter: Reporter;
  readonly #isOwnHost: (host: string) => boolean;
  readonly #origins: ReadonlySet<string>;
  readonly #live = new Map<ServerResponse, Identity>();
  /** How many requests of a connection are being answered. */
  readonly #open = new WeakMap<Socket, number>();
  /** Connections that have not made a request yet. */
  readonly #fresh = new Set<Socket>();
  readonly #expiryCheck = setInterval(() => this.#endStaleStreams(), expiryCheckMs).unref();
  #stopping = false;

  private constructor({ config, users, comparePassword, onReport, failedLogins }: GuardOptions) {
    this.#config = config;
    this.#server = createListener(config, (req, res) => this.#handle(req, res));
    this.#server.on('connection', (socket) => {
      this.#fresh.add(socket);
      socket.once('close', () => this.#fresh.delete(socket));
    });
    this.#forward = createForward(config);
    this.#authenticator = new Authenticator({ comparePassword, failedLogins: failedLogins ?? createFailedLogins() });
    this.#authenticator.setUsers(users);
    this.#reporter = new Reporter(onReport, reportIntervalMs);
    this.#isOwnHost = createHostRule(config.allowedHosts);
    this.#origins = new Set(config.allowedOrigins);
  }

  /**
   * Starts a guard; it answers when the promise is fulfilled.
   *
   * @throws GuardError `no-users` beyond loopback, or what stands in the way of listening.
   */
  static async start(options: GuardOptions): Promise<Guard> {
    const { host, port } = options.config;
    if (!isLoopback(host) && options.users.length === 0) {
      throw new GuardError(
        'no-users',
        `Listening on ${host} shares Ollama with the network, and there is no user yet. Add a user first.`,
      );
    }
    const guard = new Guard(options);
    const server = guard.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        resolve();
      });
    }).catch((error: unknown) => {
      const known = listenErrors[systemErrorCode(error) ?? ''];
      throw known === undefined ? error : new GuardError(known[0], known[1](options.config), { cause: error });
    });
    return guard;
  }

  /** Where the guard listens, such as `http://127.0.0.1:11435`. */
  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return endpointUrl(address, port);
  }

  /** Replaces the users. Applies to the next request; streams whose user or key is gone end now. */
  setUsers(users: readonly User[]): void {
    this.#authenticator.setUsers(users);
    this.#endStaleStreams();
  }

  #endStaleStreams(): void {
    for (const [res, identity] of this.#live) if (!this.#authenticator.isCurrent(identity)) res.destroy();
  }

  /**
   * Stops: no new requests, and those under way get `drainMs` to finish before they are cut off.
   *
   * @param drainMs milliseconds.
   */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#expiryCheck);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    // Node does not count those as idle.
    for (const socket of this.#fresh) socket.destroy();
    // `close` does not call back while a stream lives (http-proxy.md, rule 10).
    const cutOff = setTimeout(() => this.#server.closeAllConnections(), drainMs);
    await closed;
    clearTimeout(cutOff);
    this.#forward.close();
    this.#reporter.flush();
  }

  /** A request's way: entry, identity, policy, forward. Whatever no step says yes to is refused. */
  #handle(req: IncomingMessage, res: ServerResponse): void {
    this.#fresh.delete(req.socket);
    const startedAt = performance.now();
    const path = canonicalPath(req.url ?? '');
    const request: Request = { req, res, path: path ?? '', startedAt };
    req.on('error', () => res.destroy());
    res.on('error', () => res.destroy());

    const problem = this.#entryProblem(req, path) ?? this.#pipelineProblem(req, res);
    if (problem !== undefined) {
      this.#refuse(request, problem, { close: problem === 'bad-request' || problem === 'pipelined' });
      return;
    }
    allowOrigin(req, res);
    const own = ownAnswer(req, request.path);
    if (own !== undefined) {
      this.#answerOwn(request, own);
      return;
    }

    const address = req.socket.remoteAddress ?? '';
    const signIn = this.#authenticator.signIn(readCredential(req.headers), address);
    const admit = (outcome: Awaited<typeof signIn>) => {
      if (res.destroyed) return;
      if ('identity' in outcome) this.#admit(request, outcome.identity);
      else {
        this.#refuse(request, outcome.refusal, outcome.retryAfter === undefined ? {} : outcome);
        this.#reportFailedSignIn(address, outcome.reason, outcome.refusal);
      }
    };
    if (!(signIn instanceof Promise)) {
      admit(signIn);
      return;
    }
    signIn.then(admit).catch((error: unknown) => {
      this.#reporter.add({ type: 'error', message: String(error) });
      this.#refuse(request, 'guard-failed');
    });
  }

  /** Why a request may not come in at all, whoever sends it. */
  #entryProblem(req: IncomingMessage, path: string | undefined): RefusalCode | undefined {
    // Node's parser takes HTTP/0.9 and 2.0 on this port too.
    if (req.httpVersionMajor !== 1) return 'bad-request';
    const framing = framingProblem(req.rawHeaders);
    if (framing !== undefined) return framing;
    if (this.#stopping) return 'stopping';
    if (path === undefined) return 'bad-target';
    const host = hostOf(req.headers.host ?? '');
    if (host === undefined || !this.#isOwnHost(host)) return 'foreign-host';
    return isForeignPage(req.headers, this.#origins) ? 'foreign-origin' : undefined;
  }

  /** Each pipelined request would take a connection to Ollama, so a client connection may not hold many. */
  #pipelineProblem(req: IncomingMessage, res: ServerResponse): RefusalCode | undefined {
    const { socket } = req;
    const open = (this.#open.get(socket) ?? 0) + 1;
    this.#open.set(socket, open);
    res.once('close', () => this.#open.set(socket, (this.#open.get(socket) ?? 1) - 1));
    return open > maxPipelined ? 'pipelined' : undefined;
  }

  /** Preflights, the CLI's heartbeat and the guard's own health: answered here, to everyone, and without a body. */
  #answerOwn(request: Request, own: OwnAnswer): void {
    const { req, res } = request;
    if (hasBody(req)) {
      this.#refuse(request, 'unexpected-body', { close: true });
      return;
    }
    if (own === 'preflight') {
      answerPreflight(req, res);
      return;
    }
    const { type, body } = ownAnswers[own];
    res.setHeader('content-type', type);
    res.setHeader('cache-control', 'no-store');
    res.setHeader('content-length', body.length);
    res.end(body);
  }

  #admit(request: Request, identity: Identity): void {
    const { req, res, path } = request;
    const decision = decide(identity.user.role, req.method ?? '', path);
    if ('refusal' in decision) {
      const { refusal, allow } = decision;
      this.#refuse(request, refusal, allow === undefined ? {} : { allow }, identity);
      return;
    }
    const problem = bodyProblem(req, decision.route.body, this.#config.maxBodyBytes);
    if (problem !== undefined) {
      this.#refuse(request, problem, {}, identity);
      return;
    }

    this.#live.set(res, identity);
    this.#reporter.begin();
    res.once('close', () => {
      this.#live.delete(res);
      this.#reporter.end();
      if (this.#stopping) setImmediate(() => this.#server.closeIdleConnections());
      this.#reportRequest(request, identity);
    });
    this.#forward(req, res, { path, body: decision.route.body });
  }

  #refuse(request: Request, code: RefusalCode, details: RefusalDetails = {}, identity?: Identity): void {
    refuse(request.res, code, request.path, this.#stopping ? { ...details, close: true } : details);
    this.#reportRequest(request, identity);
  }

  #reportRequest({ req, res, path, startedAt }: Request, identity: Identity | undefined): void {
    this.#reporter.add({
      type: 'request',
      method: req.method ?? '',
      // Anything else may hold what a stranger put there, a key pasted into a URL included.
      path: routesOf(path).length > 0 ? path : '-',
      status: res.statusCode,
      address: req.socket.remoteAddress ?? '',
      ...(identity && { user: identity.user.name }),
      milliseconds: Math.round(performance.now() - startedAt),
      complete: res.writableEnded,
    });
  }

  #reportFailedSignIn(address: string, reason: string, refusal: RefusalCode): void {
    if (reason === 'no credential') return;
    this.#reporter.add({ type: 'sign-in-failed', address, reason: refusal === 'unauthenticated' ? reason : refusal });
  }
}

/** What the guard answers itself, by path; the texts of both are public. */
const ownAnswers = {
  heartbeat: { type: 'text/plain; charset=utf-8', body: '' },
  health: { type: 'application/json; charset=utf-8', body: '{"status":"ok"}' },
} as const;

type OwnAnswer = keyof typeof ownAnswers | 'preflight';

function ownAnswer(req: IncomingMessage, path: string): OwnAnswer | undefined {
  if (isPreflight(req)) return 'preflight';
  if (path === '/' && req.method === 'HEAD') return 'heartbeat';
  const reads = req.method === 'GET' || req.method === 'HEAD';
  return path === '/_guard/health' && reads ? 'health' : undefined;
}

/** A request on its way through the steps. */
interface Request {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** The canonical path; empty when it had none. */
  readonly path: string;
  /** By `performance.now()`. */
  readonly startedAt: number;
}
