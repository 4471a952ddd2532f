import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Admission } from './admission/admission.ts';
import type { Counters } from './admission/counters.ts';
import { type QueueView, type QueueViewer, queueView } from './admission/queueView.ts';
import { watchReader } from './admission/slowReader.ts';
import { type RefusalCode, type RefusalDetails, refuse } from './answers.ts';
import { type Checked, Checks, needsChecks, type Sending } from './checks.ts';
import type { GuardConfig } from './config.ts';
import { plainAddress } from './entry/address.ts';
import { bodyProblem } from './entry/body.ts';
import { framingProblem } from './entry/framing.ts';
import { createHostRule, hostOf } from './entry/host.ts';
import { staysEncrypted, strictTransport } from './entry/hsts.ts';
import { isEncrypted, staysOnThisComputer } from './entry/listener.ts';
import { allowOrigin, isForeignPage } from './entry/origin.ts';
import { closeWithConnection, pipelineProblem } from './entry/pipelining.ts';
import { canonicalPath } from './entry/target.ts';
import { httpsAddress } from './entry/toHttps.ts';
import { createForward, type Forward } from './forward/forward.ts';
import type { Authenticator, Identity } from './identity/authenticator.ts';
import { readCredential } from './identity/credentials.ts';
import type { User } from './identity/users.ts';
import type { JoinPages } from './join/joinPages.ts';
import { isForJoinPage } from './join/origin.ts';
import { methodsOf, sendPage } from './join/pages.ts';
import { answerOwn, answerQueue, ownAnswer } from './ownAnswers.ts';
import { queuePath } from './ownPaths.ts';
import type { ListedModel } from './policy/lists.ts';
import { judgeModel } from './policy/models.ts';
import { accessOf, decideRoute, type Policy } from './policy/policy.ts';
import { RemoteModels } from './policy/remoteModels.ts';
import { Roster } from './roster.ts';
import { type Route, routesOf } from './routes.ts';
import type { EndpointTls } from './tls/certificate.ts';
import type { Reporter } from './usage/events.ts';
import { watchTokens } from './usage/tokenCounter.ts';
import type { ActivityTracker, RequestTrack } from './usage/tracker.ts';

/** What the gate works with. */
export interface GatePorts {
  readonly config: GuardConfig;
  readonly policy: Policy;
  readonly authenticator: Authenticator;
  /** What callers with a limit have used. */
  readonly counters: Counters;
  readonly joinPages: JoinPages;
  readonly reporter: Reporter;
  readonly activity: ActivityTracker;
  /** How the endpoint encrypts. */
  readonly tls: () => EndpointTls | undefined;
  /** Whether the endpoint is shared with somebody where a request came in. */
  readonly isSharedWith: (who: { readonly user: User }, req: IncomingMessage) => boolean;
  /** Reads Ollama's own list of models, and gives up by itself. */
  readonly listModels: () => Promise<readonly ListedModel[]>;
  /** Called when a request that was let in is over. */
  readonly onOver: () => void;
}

/** How old what is known of models that run elsewhere may be, in milliseconds. */
const remoteModelsAgeMs = 10_000;

/** Says what a request asked too much of. */
const clampedHeader = 'ollama-guard-clamped';

/** How long an answer may wait for its reader before another request is sent in its place, in milliseconds. */
const readerPatienceMs = 10_000;

/** The steps of a request's way, strung together. Whatever no step says yes to is refused. */
export class Gate {
  readonly #ports: GatePorts;
  readonly #config: GuardConfig;
  readonly #forward: Forward;
  readonly #admission: Admission;
  readonly #remoteModels: RemoteModels;
  readonly #checks: Checks;
  readonly #isOwnHost: (host: string) => boolean;
  readonly #origins: ReadonlySet<string>;
  /** Requests that were let in, also while they wait. */
  readonly #live = new Roster<{ readonly res: ServerResponse; readonly identity: Identity }>();
  #policy: Policy;
  #stopping = false;

  constructor(ports: GatePorts) {
    const { config, policy, counters, listModels } = ports;
    const { tls, allowedHosts, maxBodyBytes } = config;
    this.#ports = ports;
    this.#config = config;
    this.#policy = policy;
    this.#forward = createForward(config);
    this.#admission = new Admission(policy.queue, counters);
    this.#remoteModels = new RemoteModels({
      read: listModels,
      maxAgeMs: remoteModelsAgeMs,
      onFailure: (error) =>
        ports.reporter.add({ type: 'error', message: `Ollama's models cannot be listed: ${messageOf(error)}` }),
    });
    this.#checks = new Checks({ admission: this.#admission, remoteModels: this.#remoteModels, maxBodyBytes });
    this.#isOwnHost = createHostRule(tls.mode === 'acme' ? [...allowedHosts, tls.domain] : allowedHosts);
    this.#origins = new Set(config.allowedOrigins);
  }

  /**
   * Replaces the policy. Roles apply to the next request: those that were let in keep what theirs said then. The numbers
   * of the queue hold at once, for those that wait too.
   */
  setPolicy(policy: Policy): void {
    this.#policy = policy;
    this.#admission.setPolicy(policy.queue);
  }

  /** Whether a user may use a model. */
  mayUse(user: User, model: string): boolean {
    return judgeModel(accessOf(this.#policy, user), model, (name) => this.#remoteModels.isRemote(name)).allowed;
  }

  /** Ends the requests of those who would not be let in any more. */
  endStale(): void {
    for (const { res, identity } of this.#live.values()) {
      const { authenticator, isSharedWith } = this.#ports;
      if (!authenticator.isCurrent(identity) || !isSharedWith(identity, res.req)) res.destroy();
    }
  }

  /** Lets nobody in any more. */
  stop(): void {
    this.#stopping = true;
  }

  /** Cuts every connection to Ollama. Resolves when all that was used is counted, which may take a moment. */
  async close(): Promise<void> {
    this.#forward.close();
    await this.#admission.idle();
  }

  /** The first steps of a request's way, up to who it is from; `#admit` takes those that come from somebody. */
  handle(req: IncomingMessage, res: ServerResponse): void {
    const startedAt = performance.now();
    const path = canonicalPath(req.url ?? '');
    const address = plainAddress(req.socket.remoteAddress ?? '');
    const request: Request = {
      req,
      res,
      path: path ?? '',
      address,
      startedAt,
      identity: undefined,
      isQuiet: false,
      hasBegun: false,
      leave: undefined,
      onChanged: undefined,
    };
    req.on('error', () => res.destroy());
    res.on('error', () => res.destroy());
    res.on('close', () => this.#over(request));
    closeWithConnection(req, res);

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
    if (isEncrypted(req.socket) && staysEncrypted(this.#ports.tls(), req.headers.host)) {
      res.setHeader('strict-transport-security', strictTransport);
    }
    const own = ownAnswer(req, request.path);
    if (own !== undefined) {
      const not = answerOwn(req, res, own);
      if (not === undefined) request.isQuiet = true;
      else this.#refuse(request, not.refusal, not.details);
      return;
    }
    const methods = methodsOf(request.path);
    if (methods !== undefined) {
      const code = req.method === 'POST' ? 'invite-unavailable' : 'guard-failed';
      this.#answerJoin(request, methods).catch((error: unknown) => this.#fail(request, error, code));
      return;
    }

    const credential = readCredential(req.headers, { method: req.method ?? '', target: req.url ?? '' });
    const confidential = isEncrypted(req.socket) || staysOnThisComputer(req.socket);
    const signIn = this.#ports.authenticator.signIn(credential, { address, confidential });
    const admit = (outcome: Awaited<typeof signIn>) => {
      if (res.destroyed) return;
      if ('identity' in outcome) this.#admit(request, outcome.identity);
      else {
        this.#ports.activity.signedOut(req.socket);
        this.#refuse(request, outcome.refusal, outcome.retryAfter === undefined ? {} : outcome);
        this.#reportFailedSignIn(address, outcome.reason);
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

  /** The pages on which an invite is exchanged for an API key. */
  async #answerJoin(request: Request, methods: string): Promise<void> {
    const { req, res, path, address } = request;
    const isSharedWith = (user: User) => this.#ports.isSharedWith({ user }, req);
    const outcome = await this.#ports.joinPages.answer({ req, res, path, address, methods, isSharedWith });
    if (outcome === undefined) return;
    if ('refusal' in outcome) {
      const { refusal, details, reason } = outcome;
      this.#refuse(request, refusal, details);
      if (reason !== undefined) this.#ports.reporter.add({ type: 'sign-in-failed', address, reason });
      return;
    }
    const { page, redeemed } = outcome;
    request.isQuiet = redeemed === undefined;
    request.identity = redeemed;
    sendPage(res, page);
    if (redeemed === undefined) return;
    const { user, keyId } = redeemed;
    this.#ports.reporter.add({ type: 'invite-redeemed', user: user.name, keyId, address });
  }

  /** Policy decides on the route, by the headers alone. What is not read and waits for nothing goes on at once. */
  #admit(request: Request, identity: Identity): void {
    const { req, res, path, address } = request;
    const { user, keyId, publicKeyId } = identity;
    request.identity = identity;
    for (const id of [user.id, keyId, publicKeyId]) if (id !== undefined) this.#ports.reporter.used(id);
    this.#ports.activity.signedIn(req.socket, user.name, address);
    if (!this.#ports.isSharedWith(identity, req)) {
      this.#refuse(request, 'not-shared');
      return;
    }
    const access = accessOf(this.#policy, user);
    if (path === queuePath) {
      const viewer = { userId: user.id, seesAll: access.can.includes('manage') };
      const not = answerQueue(req, res, () => this.#queueFor(viewer));
      if (not !== undefined) this.#refuse(request, not.refusal, not.details);
      return;
    }
    const decision = decideRoute(access.can, req.method ?? '', path);
    if ('refusal' in decision) {
      const { refusal, allow } = decision;
      this.#refuse(request, refusal, allow === undefined ? {} : { allow });
      return;
    }
    const { route } = decision;
    const maxBodyBytes = route.body === 'blob' ? (access.clamps.uploadBytes ?? 0) : this.#config.maxBodyBytes;
    const problem = bodyProblem(req, route.body, maxBodyBytes);
    if (problem !== undefined) {
      this.#refuse(request, problem);
      return;
    }
    request.leave = this.#live.add({ res, identity });
    // It may make an alias of a model of ollama.com.
    if (route.needs === 'manage' && route.names !== 'none') request.onChanged = this.#remoteModels.change();
    const begin = () => this.#begin(request, user);
    if (!needsChecks({ route, access })) {
      this.#send(request, route, { track: begin(), maxBodyBytes });
      return;
    }
    const pass = (checked: Checked) => {
      if (checked === undefined || res.destroyed) return;
      if ('refusal' in checked) {
        const { refusal, details } = checked;
        this.#refuse(request, refusal, { ...details, close: endsConnection.has(refusal) });
        return;
      }
      const { send } = checked;
      this.#send(request, route, { ...send, track: send.track ?? begin(), maxBodyBytes });
    };
    const checking = this.#checks.run({ req, res, path, identity, access, route, begin });
    checking.then(pass).catch((error: unknown) => this.#fail(request, error));
  }

  #queueFor(viewer: QueueViewer): QueueView {
    return queueView(this.#admission.queue(viewer.seesAll ? undefined : viewer.userId), viewer);
  }

  /** Under way from here until the answer is over. */
  #begin(request: Request, user: User): RequestTrack {
    const { req, res, path, address } = request;
    request.hasBegun = true;
    this.#ports.reporter.begin();
    return this.#ports.activity.begin(res, { user: user.name, method: req.method ?? '', path, address });
  }

  #send(
    { req, res, path }: Request,
    route: Route,
    sending: Sending & { readonly track: RequestTrack; readonly maxBodyBytes: number },
  ): void {
    const { track, permit, clamped = [], ...forwarding } = sending;
    const headers =
      clamped.length === 0 ? permit?.headers : { ...permit?.headers, [clampedHeader]: clamped.join(', ') };
    this.#forward(req, res, {
      ...forwarding,
      path,
      body: route.body,
      ...(headers && { headers }),
      onAnswer: (answer) => {
        watchTokens(path, answer, track, permit?.charge.answering());
        if (permit === undefined) return;
        watchReader(answer, readerPatienceMs, () => permit.yield());
        answer.on('end', () => permit.answered());
      },
    });
  }

  #refuse({ res, path }: Request, code: RefusalCode, details: RefusalDetails = {}): void {
    refuse(res, code, path, this.#stopping ? { ...details, close: true } : details);
  }

  /** Keeps the method, and is not to be remembered: the endpoint may do without encryption one day. */
  #redirect({ res }: Request, location: string): void {
    res.statusCode = 308;
    res.setHeader('location', location);
    res.setHeader('cache-control', 'no-store');
    res.setHeader('content-length', 0);
    res.setHeader('connection', 'close');
    res.end();
  }

  /** An error that nobody foresaw. */
  #fail(request: Request, error: unknown, code: RefusalCode = 'guard-failed'): void {
    this.#ports.reporter.add({ type: 'error', message: String(error) });
    this.#refuse(request, code);
  }

  /** The answer was written, or its client has left. */
  #over(request: Request): void {
    const { hasBegun, leave, onChanged } = request;
    this.#report(request);
    leave?.();
    onChanged?.();
    if (!hasBegun) return;
    this.#ports.reporter.end();
    this.#ports.onOver();
  }

  /** What is over: the guard's own pages are not worth a line, nor is a stranger who left before an answer. */
  #report({ req, res, path, address, startedAt, identity, isQuiet }: Request): void {
    if (isQuiet || (identity === undefined && !res.headersSent)) return;
    this.#ports.reporter.add({
      type: 'request',
      method: req.method ?? '',
      // Anything else may hold what a stranger put there, a key pasted into a URL included.
      path: isKnown(path) ? path : '-',
      ...(res.headersSent && { status: res.statusCode }),
      address,
      ...(identity && { user: identity.user.name }),
      milliseconds: Math.round(performance.now() - startedAt),
      complete: res.writableEnded,
    });
  }

  #reportFailedSignIn(address: string, reason: string): void {
    if (reason !== 'no credential') this.#ports.reporter.add({ type: 'sign-in-failed', address, reason });
  }
}

/** Refusals after which nothing on the same connection can be trusted, or be of use. */
const endsConnection: ReadonlySet<RefusalCode> = new Set(['bad-request', 'pipelined', 'plain-http', 'request-timeout']);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function isKnown(path: string): boolean {
  return routesOf(path).length > 0 || methodsOf(path) !== undefined || path === queuePath;
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
  /** Known once it has signed in. */
  identity: { readonly user: User } | undefined;
  /** Left out of the log. */
  isQuiet: boolean;
  /** Nothing stands against it any more. */
  hasBegun: boolean;
  /** Takes it out of those that were let in. */
  leave: (() => void) | undefined;
  /** Told when one is over that may have given models other names. */
  onChanged: (() => void) | undefined;
}
