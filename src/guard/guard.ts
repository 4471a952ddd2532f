import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { createFailedLogins, type FailedLogins } from './admission/failedLogins.ts';
import { type RefusalCode, type RefusalDetails, refuse } from './answers.ts';
import { endpointUrl, type GuardConfig, isLoopback, schemeOf } from './config.ts';
import { canonicalAddress, plainAddress } from './entry/address.ts';
import { bodyProblem, hasBody } from './entry/body.ts';
import { framingProblem } from './entry/framing.ts';
import { createHostRule, hostOf } from './entry/host.ts';
import { staysEncrypted, strictTransport } from './entry/hsts.ts';
import {
  close,
  createListener,
  isEncrypted,
  type Listener,
  listen,
  listeningAt,
  staysOnThisComputer,
} from './entry/listener.ts';
import { allowOrigin, answerPreflight, isForeignPage, isPreflight } from './entry/origin.ts';
import { pipelineProblem } from './entry/pipelining.ts';
import { canonicalPath } from './entry/target.ts';
import { httpsAddress } from './entry/toHttps.ts';
import { GuardError } from './errors.ts';
import { createForward, type Forward } from './forward/forward.ts';
import { Authenticator, type ComparePassword, type Identity } from './identity/authenticator.ts';
import { readCredential } from './identity/credentials.ts';
import type { ApiKeyRecord, User } from './identity/users.ts';
import { InviteDesk } from './join/inviteDesk.ts';
import { JoinPages } from './join/joinPages.ts';
import { isForJoinPage } from './join/origin.ts';
import { methodsOf, sendPage } from './join/pages.ts';
import { accessOf, decideRoute, type Policy, resolvePolicy } from './policy/policy.ts';
import type { PolicyDocument } from './policy/policyDocument.ts';
import { routesOf } from './routes.ts';
import { isSharedWith, reaches, type Share, type SharedAddress } from './share/sharedAddress.ts';
import type { EndpointTls } from './tls/certificate.ts';
import { EndpointCertificate } from './tls/endpointCertificate.ts';
import type { Vault } from './tls/vault.ts';
import { type Report, Reporter } from './usage/events.ts';
import { watchModel } from './usage/modelScanner.ts';
import { watchTokens } from './usage/tokenCounter.ts';
import { ActivityTracker } from './usage/tracker.ts';

/** What a guard needs from outside. */
export interface GuardOptions {
  readonly config: GuardConfig;
  readonly users: readonly User[];
  readonly comparePassword: ComparePassword;
  /** Gets events and counts in batches. */
  readonly onReport: (report: Report) => void;
  /** Where private keys are kept. */
  readonly vault: Vault;
  /** Exchanges an invite for an API key, once and for all; see GuardHostPorts. */
  readonly redeemInvite: (inviteId: string, key: ApiKeyRecord) => Promise<void>;
  /** Called when the certificate, or what stands in the way of a newer one, has changed. */
  readonly onTls: (tls: EndpointTls) => void;
  readonly failedLogins?: FailedLogins;
}

/** Reports come at most four times a second. */
const reportIntervalMs = 250;

/** How often streams are held against what their credential has become, in milliseconds: it may have run out. */
const expiryCheckMs = 1_000;

/** The running guard: the steps of a request's way, strung together. */
export class Guard {
  readonly #config: GuardConfig;
  readonly #certificate: EndpointCertificate;
  readonly #server: Listener;
  readonly #forward: Forward;
  readonly #authenticator: Authenticator;
  readonly #inviteDesk: InviteDesk;
  readonly #joinPages: JoinPages;
  readonly #reporter: Reporter;
  readonly #activity = new ActivityTracker(() => this.#reporter.activityChanged());
  readonly #isOwnHost: (host: string) => boolean;
  readonly #origins: ReadonlySet<string>;
  readonly #live = new Map<ServerResponse, Identity>();
  /** What took a connection. */
  readonly #cameBy = new WeakMap<Socket, Listener>();
  readonly #expiryCheck = setInterval(() => this.#endStaleStreams(), expiryCheckMs).unref();
  #userCount: number;
  #policy: Policy;
  #share: Share | undefined;
  /** Changes of what is shared wait for one another here. */
  #sharing: Promise<unknown> = Promise.resolve();
  #stopping = false;

  private constructor(options: GuardOptions) {
    const { config, users, comparePassword, onReport, vault, redeemInvite, onTls, failedLogins } = options;
    this.#config = config;
    this.#policy = resolvePolicy(config.policy);
    const { tls, allowedHosts } = config;
    this.#certificate = new EndpointCertificate({ config: tls, allowedHosts, vault, onChange: onTls });
    this.#server = this.#createServer();
    this.#forward = createForward(config);
    this.#authenticator = new Authenticator({ comparePassword, failedLogins: failedLogins ?? createFailedLogins() });
    this.#authenticator.setUsers(users);
    this.#inviteDesk = new InviteDesk({ redeemInvite });
    this.#inviteDesk.setUsers(users);
    this.#joinPages = new JoinPages({
      desk: this.#inviteDesk,
      upstream: config.upstream,
      bodyTimeoutMs: config.headersTimeoutMs,
      tls: () => this.#certificate.tls,
      mayUse: () => true,
    });
    this.#userCount = users.length;
    this.#reporter = new Reporter(onReport, reportIntervalMs);
    this.#isOwnHost = createHostRule(tls.mode === 'acme' ? [...allowedHosts, tls.domain] : allowedHosts);
    this.#origins = new Set(config.allowedOrigins);
  }

  /**
   * Starts a guard; it answers when the promise is fulfilled.
   *
   * @throws GuardError `no-users` beyond loopback, or what stands in the way of listening or of a certificate.
   */
  static async start(options: GuardOptions): Promise<Guard> {
    const { host, port } = options.config;
    demandUser(host, options.users.length);
    const guard = new Guard(options);
    await listen(guard.#server, host, port);
    try {
      await guard.#certify(host);
    } catch (error) {
      await guard.stop(0);
      throw error;
    }
    return guard;
  }

  /** Where the guard listens, such as `http://127.0.0.1:11435`. */
  get url(): string {
    const { address, port } = listeningAt(this.#server);
    return endpointUrl(address, port, schemeOf(this.#config, address));
  }

  /** How it encrypts; undefined while nothing is encrypted. */
  get tls(): EndpointTls | undefined {
    return this.#certificate.tls;
  }

  /** Replaces the users. Applies to the next request; streams whose user or key is gone end now. */
  setUsers(users: readonly User[]): void {
    this.#authenticator.setUsers(users);
    this.#inviteDesk.setUsers(users);
    this.#userCount = users.length;
    this.#endStaleStreams();
  }

  /** Replaces the policy. Applies to the next request; those under way and waiting go on by the one before. */
  setPolicy(policy: PolicyDocument): void {
    this.#policy = resolvePolicy(policy);
  }

  /** While switched on, reports hold the activity, and come whenever it changed; the first comes at once. */
  watchActivity(on: boolean): void {
    this.#reporter.watch(on ? () => this.#activity.snapshot() : undefined);
  }

  /** Ends one request under way, by its id in the activity; false when there is none. */
  stopRequest(id: number): boolean {
    return this.#activity.stop(id);
  }

  /**
   * Listens on a second address, with the same port and limits, until told otherwise. When the guard's own listener
   * reaches that address already, the list of users alone applies there. Replaces what was shared before: connections
   * that came by another address are cut, and so are streams of users who are no longer in the list.
   *
   * @param plan undefined ends sharing, and cuts connections that came by the second address at once.
   * @returns where it is reached, such as `http://192.168.1.5:11435`; undefined when nothing is shared, which is also
   *   so when the guard stops meanwhile.
   * @throws GuardError `no-users` beyond loopback, or what stands in the way of listening; then all is as before.
   */
  share(plan: SharedAddress | undefined): Promise<string | undefined> {
    const shared = this.#sharing.then(() => this.#replaceShare(plan));
    this.#sharing = shared.catch(() => undefined);
    return shared;
  }

  async #replaceShare(plan: SharedAddress | undefined): Promise<string | undefined> {
    if (this.#stopping) return undefined;
    const before = this.#share;
    const share = plan && (await this.#openShare(plan, before));
    const replaced = before?.server === share?.server ? undefined : before?.server;
    if (this.#stopping) {
      if (share?.server !== before?.server) await this.#cut(share?.server);
      return undefined;
    }
    this.#share = share;
    this.#endStaleStreams();
    const url =
      share && endpointUrl(share.address, listeningAt(this.#server).port, schemeOf(this.#config, share.address));
    await this.#cut(replaced);
    return url;
  }

  async #openShare({ host, users }: SharedAddress, before: Share | undefined): Promise<Share> {
    demandUser(host, this.#userCount);
    const own = listeningAt(this.#server);
    const allowed = users && new Set(users);
    const address = host === this.#config.host ? own.address : canonicalAddress(host);
    if (reaches(own.address, address)) return { host, address, server: undefined, users: allowed };
    if (before?.server !== undefined && before.host === host) return { ...before, users: allowed };
    const server = this.#createServer();
    await listen(server, host, own.port);
    try {
      await this.#certify(listeningAt(server).address);
    } catch (error) {
      await this.#cut(server);
      throw error;
    }
    return { host, address: listeningAt(server).address, server, users: allowed };
  }

  /**
   * Gets a certificate for what listens on an address, where one is needed: a guard for this computer alone starts
   * without, whatever the vault says. What listens is there first, since a directory may want to see it.
   *
   * @throws GuardError why there is none.
   */
  async #certify(address: string): Promise<void> {
    if (schemeOf(this.#config, address) === 'https') await this.#certificate.open();
  }

  #createServer(): Listener {
    const server = createListener(
      this.#config,
      {
        onRequest: (req, res) => this.#handle(req, res),
        onConnection: (socket) => {
          this.#cameBy.set(socket, server);
          socket.once('close', () => this.#activity.signedOut(socket));
        },
      },
      this.#certificate.challenges,
    );
    if (isHttps(server)) this.#certificate.presentOn(server);
    return server;
  }

  /** Stops listening and cuts what came by it. */
  async #cut(server: Listener | undefined): Promise<void> {
    if (server === undefined) return;
    if (isHttps(server)) this.#certificate.forget(server);
    const closed = close(server);
    server.closeAllConnections();
    await closed;
  }

  /** Everything that listens. */
  get #servers(): readonly Listener[] {
    return this.#share?.server === undefined ? [this.#server] : [this.#server, this.#share.server];
  }

  #isSharedWith({ user }: Identity, { socket }: IncomingMessage): boolean {
    return this.#share === undefined || isSharedWith(this.#share, user.id, socket, this.#cameBy.get(socket));
  }

  #endStaleStreams(): void {
    for (const [res, identity] of this.#live) {
      if (!this.#authenticator.isCurrent(identity) || !this.#isSharedWith(identity, res.req)) res.destroy();
    }
  }

  #closeIdleConnections(): void {
    for (const server of this.#servers) server.closeIdleConnections();
  }

  /**
   * Stops: no new requests, and those under way get `drainMs` to finish before they are cut off.
   *
   * @param drainMs milliseconds.
   */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#expiryCheck);
    this.#certificate.close();
    const servers = this.#servers;
    const closed = Promise.all(servers.map(close));
    this.#closeIdleConnections();
    // `close` does not call back while a stream lives (http-proxy.md, rule 10).
    const cutOff = setTimeout(() => {
      for (const server of servers) server.closeAllConnections();
    }, drainMs);
    await closed;
    clearTimeout(cutOff);
    await this.#sharing;
    this.#forward.close();
    this.#reporter.flush();
  }

  /** A request's way: entry, identity, policy, forward. Whatever no step says yes to is refused. */
  #handle(req: IncomingMessage, res: ServerResponse): void {
    const startedAt = performance.now();
    const path = canonicalPath(req.url ?? '');
    const address = plainAddress(req.socket.remoteAddress ?? '');
    const request: Request = { req, res, path: path ?? '', address, startedAt };
    req.on('error', () => res.destroy());
    res.on('error', () => res.destroy());

    const problem = this.#entryProblem(req, path) ?? pipelineProblem(req, res);
    const elsewhere = problem === 'plain-http' ? httpsAddress(req, request.path) : undefined;
    if (elsewhere !== undefined) {
      this.#redirect(request, elsewhere);
      return;
    }
    if (problem !== undefined) {
      this.#refuse(request, problem, { close: endsConnection.has(problem) });
      return;
    }
    allowOrigin(req, res);
    if (isEncrypted(req.socket) && staysEncrypted(this.#certificate.tls, req.headers.host)) {
      res.setHeader('strict-transport-security', strictTransport);
    }
    const own = ownAnswer(req, request.path);
    if (own !== undefined) {
      this.#answerOwn(request, own);
      return;
    }
    const methods = methodsOf(request.path);
    if (methods !== undefined) {
      const code = req.method === 'POST' ? 'invite-unavailable' : 'guard-failed';
      this.#answerJoin(request, methods).catch((error: unknown) => this.#fail(request, error, code));
      return;
    }

    const signIn = this.#authenticator.signIn(readCredential(req.headers), address);
    const admit = (outcome: Awaited<typeof signIn>) => {
      if (res.destroyed) return;
      if ('identity' in outcome) this.#admit(request, outcome.identity);
      else {
        this.#activity.signedOut(req.socket);
        this.#refuse(request, outcome.refusal, outcome.retryAfter === undefined ? {} : outcome);
        this.#reportFailedSignIn(address, outcome.reason, outcome.refusal);
      }
    };
    if (!(signIn instanceof Promise)) {
      admit(signIn);
      return;
    }
    signIn.then(admit).catch((error: unknown) => this.#fail(request, error));
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
    if (isForeignPage(req.headers, this.#origins) && !isForJoinPage(req, path)) return 'foreign-origin';
    return this.#mayBePlain(req.socket) ? undefined : 'plain-http';
  }

  /** Whether a connection may do without encryption, or has it. */
  #mayBePlain(socket: Socket): boolean {
    const { tls, plainOnLoopback } = this.#config;
    return tls.mode === 'off' || isEncrypted(socket) || (plainOnLoopback && staysOnThisComputer(socket));
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

  /** The pages on which an invite is exchanged for an API key. */
  async #answerJoin(request: Request, methods: string): Promise<void> {
    const { req, res, path, address } = request;
    const isSharedWith = (user: User) => this.#isSharedWith({ user }, req);
    const outcome = await this.#joinPages.answer({ req, res, path, address, methods, isSharedWith });
    if (outcome === undefined) return;
    if ('refusal' in outcome) {
      const { refusal, details, reason } = outcome;
      this.#refuse(request, refusal, details);
      if (reason !== undefined) this.#reporter.add({ type: 'sign-in-failed', address, reason });
      return;
    }
    const { page, redeemed } = outcome;
    sendPage(res, page);
    if (redeemed === undefined) return;
    const { user, keyId } = redeemed;
    this.#reporter.add({ type: 'invite-redeemed', user: user.name, keyId, address });
    this.#reportRequest(request, redeemed);
  }

  #admit(request: Request, identity: Identity): void {
    const { req, res, path, address } = request;
    const { user, keyId } = identity;
    this.#reporter.used(user.id);
    if (keyId !== undefined) this.#reporter.used(keyId);
    this.#activity.signedIn(req.socket, user.name, address);
    if (!this.#isSharedWith(identity, req)) {
      this.#refuse(request, 'not-shared', {}, identity);
      return;
    }
    const decision = decideRoute(accessOf(this.#policy, user).can, req.method ?? '', path);
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
    const track = this.#activity.begin(res, { user: user.name, method: req.method ?? '', path, address });
    res.once('close', () => {
      this.#live.delete(res);
      this.#reporter.end();
      if (this.#stopping) setImmediate(() => this.#closeIdleConnections());
      this.#reportRequest(request, identity);
    });
    const { body } = decision.route;
    this.#forward(req, res, { path, body, onAnswer: (answer) => watchTokens(path, answer, track.sawTokens) });
    if (body === 'json') watchModel(req, track.sawModel);
  }

  #refuse(request: Request, code: RefusalCode, details: RefusalDetails = {}, identity?: Identity): void {
    refuse(request.res, code, request.path, this.#stopping ? { ...details, close: true } : details);
    this.#reportRequest(request, identity);
  }

  /** Keeps the method, and is not to be remembered: the endpoint may do without encryption one day. */
  #redirect(request: Request, location: string): void {
    const { res } = request;
    res.statusCode = 308;
    res.setHeader('location', location);
    res.setHeader('cache-control', 'no-store');
    res.setHeader('content-length', 0);
    res.setHeader('connection', 'close');
    res.end();
    this.#reportRequest(request, undefined);
  }

  /** An error that nobody foresaw. */
  #fail(request: Request, error: unknown, code: RefusalCode = 'guard-failed'): void {
    this.#reporter.add({ type: 'error', message: String(error) });
    this.#refuse(request, code);
  }

  #reportRequest({ req, res, path, address, startedAt }: Request, identity: Identity | undefined): void {
    this.#reporter.add({
      type: 'request',
      method: req.method ?? '',
      // Anything else may hold what a stranger put there, a key pasted into a URL included.
      path: routesOf(path).length > 0 || methodsOf(path) !== undefined ? path : '-',
      status: res.statusCode,
      address,
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

/** @throws GuardError `no-users` when nobody could sign in where strangers can come. */
function demandUser(host: string, users: number): void {
  if (users > 0 || isLoopback(host)) return;
  throw new GuardError(
    'no-users',
    'Listening on {host} shares Ollama with the network, and there is no user yet. Add a user first.',
    { args: { host } },
  );
}

function isHttps(server: Listener): server is HttpsServer {
  return 'setSecureContext' in server;
}

/** Refusals after which nothing on the same connection can be trusted, or be of use. */
const endsConnection: ReadonlySet<RefusalCode> = new Set(['bad-request', 'pipelined', 'plain-http']);

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
  readonly address: string;
  /** By `performance.now()`. */
  readonly startedAt: number;
}
