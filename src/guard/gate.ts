import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Admission, type Permit } from './admission/admission.ts';
import { queueView } from './admission/queueView.ts';
import type { Caller } from './admission/types.ts';
import { type RefusalCode, type RefusalDetails, refuse } from './answers.ts';
import { BodyBudget } from './body/budget.ts';
import { editBody } from './body/edits.ts';
import { readForm } from './body/form.ts';
import { readBody } from './body/readBody.ts';
import type { GuardConfig } from './config.ts';
import { plainAddress } from './entry/address.ts';
import { bodyProblem, hasBody } from './entry/body.ts';
import { framingProblem } from './entry/framing.ts';
import { createHostRule, hostOf } from './entry/host.ts';
import { staysEncrypted, strictTransport } from './entry/hsts.ts';
import { isEncrypted, staysOnThisComputer } from './entry/listener.ts';
import { allowOrigin, answerPreflight, isForeignPage, isPreflight } from './entry/origin.ts';
import { pipelineProblem } from './entry/pipelining.ts';
import { canonicalPath } from './entry/target.ts';
import { httpsAddress } from './entry/toHttps.ts';
import { createForward, type Forward, type Forwarding } from './forward/forward.ts';
import type { Authenticator, Identity } from './identity/authenticator.ts';
import { readCredential } from './identity/credentials.ts';
import type { User } from './identity/users.ts';
import type { JoinPages } from './join/joinPages.ts';
import { isForJoinPage } from './join/origin.ts';
import { methodsOf, sendPage } from './join/pages.ts';
import { checkBody } from './policy/checkBody.ts';
import { filterList, type ListedModel, type ListMember, seesAll } from './policy/lists.ts';
import { judgeModel, judgePath } from './policy/models.ts';
import { boundOutput } from './policy/outputFields.ts';
import { type Access, accessOf, decideRoute, type Policy } from './policy/policy.ts';
import { RemoteModels } from './policy/remoteModels.ts';
import { type Route, routesOf } from './routes.ts';
import type { EndpointTls } from './tls/certificate.ts';
import type { Reporter } from './usage/events.ts';
import { watchTokens } from './usage/tokenCounter.ts';
import { assumedOutputTokens, estimateTokens } from './usage/tokens.ts';
import type { ActivityTracker, RequestTrack } from './usage/tracker.ts';

/** What the gate works with. */
export interface GatePorts {
  readonly config: GuardConfig;
  readonly policy: Policy;
  readonly authenticator: Authenticator;
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

/** Bodies in memory at once, in the largest body that is allowed: for one user, and for all. */
const bodiesPerUser = 4;
const bodiesInAll = 8;

/** Says what a request asked too much of. */
const clampedHeader = 'ollama-guard-clamped';

/** Where the queue is shown. */
const queuePath = '/_guard/queue';

/** The steps of a request's way, strung together. Whatever no step says yes to is refused. */
export class Gate {
  readonly #ports: GatePorts;
  readonly #config: GuardConfig;
  readonly #forward: Forward;
  readonly #admission: Admission;
  readonly #remoteModels: RemoteModels;
  readonly #bodies: BodyBudget;
  readonly #isOwnHost: (host: string) => boolean;
  readonly #origins: ReadonlySet<string>;
  /** Requests that were let in, also while they wait. */
  readonly #live = new Map<ServerResponse, Identity>();
  #policy: Policy;
  #stopping = false;

  constructor(ports: GatePorts) {
    const { config, policy, listModels } = ports;
    const { tls, allowedHosts, maxBodyBytes } = config;
    this.#ports = ports;
    this.#config = config;
    this.#policy = policy;
    this.#forward = createForward(config);
    this.#admission = new Admission(policy.queue);
    this.#remoteModels = new RemoteModels({
      read: listModels,
      maxAgeMs: remoteModelsAgeMs,
      onFailure: (error) =>
        ports.reporter.add({ type: 'error', message: `Ollama's models cannot be listed: ${error}` }),
    });
    this.#bodies = new BodyBudget({ total: bodiesInAll * maxBodyBytes, perHolder: bodiesPerUser * maxBodyBytes });
    this.#isOwnHost = createHostRule(tls.mode === 'acme' ? [...allowedHosts, tls.domain] : allowedHosts);
    this.#origins = new Set(config.allowedOrigins);
  }

  /** Replaces the policy. Applies to the next request; those that were let in go on by the one before. */
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
    for (const [res, identity] of this.#live) {
      const { authenticator, isSharedWith } = this.#ports;
      if (!authenticator.isCurrent(identity) || !isSharedWith(identity, res.req)) res.destroy();
    }
  }

  /** Lets nobody in any more. */
  stop(): void {
    this.#stopping = true;
  }

  /** Cuts every connection to Ollama. */
  close(): void {
    this.#forward.close();
  }

  /** A request's way: entry, identity, policy, forward. Whatever no step says yes to is refused. */
  handle(req: IncomingMessage, res: ServerResponse): void {
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
    if (isEncrypted(req.socket) && staysEncrypted(this.#ports.tls(), req.headers.host)) {
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

    const credential = readCredential(req.headers, { method: req.method ?? '', target: req.url ?? '' });
    const confidential = isEncrypted(req.socket) || staysOnThisComputer(req.socket);
    const signIn = this.#ports.authenticator.signIn(credential, { address, confidential });
    const admit = (outcome: Awaited<typeof signIn>) => {
      if (res.destroyed) return;
      if ('identity' in outcome) this.#admit(request, outcome.identity);
      else {
        this.#ports.activity.signedOut(req.socket);
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
    sendOwn(res, type, body);
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
    sendPage(res, page);
    if (redeemed === undefined) return;
    const { user, keyId } = redeemed;
    this.#ports.reporter.add({ type: 'invite-redeemed', user: user.name, keyId, address });
    this.#reportRequest(request, redeemed);
  }

  /** Policy decides on the route, by the headers alone. What is not read and waits for nothing goes on at once. */
  #admit(request: Request, identity: Identity): void {
    const { req, res, path, address } = request;
    const { user, keyId, publicKeyId } = identity;
    for (const id of [user.id, keyId, publicKeyId]) if (id !== undefined) this.#ports.reporter.used(id);
    this.#ports.activity.signedIn(req.socket, user.name, address);
    if (!this.#ports.isSharedWith(identity, req)) {
      this.#refuse(request, 'not-shared', {}, identity);
      return;
    }
    const access = accessOf(this.#policy, user);
    if (path === queuePath) {
      this.#answerQueue(request, identity, access);
      return;
    }
    const decision = decideRoute(access.can, req.method ?? '', path);
    if ('refusal' in decision) {
      const { refusal, allow } = decision;
      this.#refuse(request, refusal, allow === undefined ? {} : { allow }, identity);
      return;
    }
    const { route } = decision;
    const problem = bodyProblem(req, route.body, this.#config.maxBodyBytes);
    if (problem !== undefined) {
      this.#refuse(request, problem, {}, identity);
      return;
    }
    const entered: Entered = { ...request, identity, access, route };
    this.#live.set(res, identity);
    res.once('close', () => this.#live.delete(res));
    if (needsCheck(entered)) this.#check(entered).catch((error: unknown) => this.#fail(request, error));
    else this.#send(entered, this.#begin(entered), {});
  }

  /** Limits, the body, the policy on what it says, and a turn; then it is sent. */
  async #check(entered: Entered): Promise<void> {
    const { req, res, path, access, route, identity } = entered;
    const permit = route.needs === 'infer' ? await this.#admission.begin(callerOf(identity, access)) : undefined;
    if (permit !== undefined && 'refusal' in permit) {
      this.#refuse(entered, permit.refusal, permit.details, identity);
      return;
    }
    const hold = this.#bodies.hold(identity.user.id);
    const over = () => {
      hold.release();
      permit?.charge.closed(res.writableEnded);
    };
    if (res.destroyed) {
      over();
      return;
    }
    res.once('close', over);
    const isKnown = access.cloud || (await this.#remoteModels.fresh());
    // What begins now would wait for ever for a close that has been.
    if (res.destroyed) return;
    if (!isKnown) {
      this.#refuse(entered, 'upstream-down', {}, identity);
      return;
    }
    const isRemote = (name: string) => this.#remoteModels.isRemote(name);
    if (route.names === 'path') {
      const verdict = judgePath(access, path, isRemote);
      if (verdict.allowed) this.#send(entered, this.#begin(entered), {});
      else this.#refuse(entered, verdict.refusal, {}, identity);
      return;
    }
    if (route.lists !== undefined) {
      this.#send(entered, this.#begin(entered), { rewrite: this.#listRewriter(entered, route.lists) });
      return;
    }
    const read = await (route.body === 'form' ? readForm : readBody)(req, res, {
      maxBytes: this.#config.maxBodyBytes,
      hold,
    });
    if (read === undefined || res.destroyed) return;
    const headers = permit?.headers ?? {};
    const outcome = 'refusal' in read ? read : checkBody(access, route, path, read, isRemote);
    if ('refusal' in outcome) {
      this.#refuse(entered, outcome.refusal, { headers }, identity);
      return;
    }
    const { body, model, clamped } = outcome;
    const track = this.#begin(entered);
    if (model !== undefined) track.sawModel(model);
    if (permit === undefined) {
      this.#send(entered, track, { checked: body, clamped });
      return;
    }
    const bounded = permit.limitsTokens ? editBody(body, boundOutput(path, body.facts, assumedOutputTokens)) : body;
    const { prompt, output = assumedOutputTokens } = estimateTokens(path, bounded.facts);
    const refused = await permit.turn({ prompt, output }, () => track.waits(() => permit.position));
    if (res.destroyed) return;
    if (refused !== undefined) {
      this.#answerRefusal(entered, refused.refusal, refused.details);
      return;
    }
    track.runs();
    permit.charge.sent({ prompt, output });
    this.#send(entered, track, { checked: bounded, clamped, permit });
  }

  #answerQueue(request: Request, identity: Identity, access: Access): void {
    const { req, res } = request;
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      this.#refuse(request, 'method-not-allowed', { allow: 'GET, HEAD' }, identity);
      return;
    }
    if (hasBody(req)) {
      this.#refuse(request, 'unexpected-body', { close: true }, identity);
      return;
    }
    const seesAll = access.can.includes('manage');
    const view = queueView(this.#admission.queue, { userId: identity.user.id, seesAll, now: Date.now() });
    sendOwn(res, 'application/json; charset=utf-8', JSON.stringify(view));
    this.#reportRequest(request, identity);
  }

  /** What a user sees of a list of models. */
  #listRewriter({ path, access }: Entered, member: ListMember): (body: Buffer) => Buffer {
    return (body) => {
      if (path === '/api/tags') this.#remoteModels.learn(body);
      return filterList(access, member, body, (name) => this.#remoteModels.isRemote(name));
    };
  }

  /** Under way from here until the answer is over: counted, shown, and reported at its end. */
  #begin(entered: Entered): RequestTrack {
    const { req, res, path, address, identity } = entered;
    this.#ports.reporter.begin();
    res.once('close', () => {
      this.#ports.reporter.end();
      this.#ports.onOver();
      this.#reportRequest(entered, identity);
    });
    return this.#ports.activity.begin(res, { user: identity.user.name, method: req.method ?? '', path, address });
  }

  #send(entered: Entered, track: RequestTrack, { permit, clamped = [], ...forwarding }: Sending): void {
    const { req, res, path, route } = entered;
    const headers = { ...permit?.headers, ...(clamped.length > 0 && { [clampedHeader]: clamped.join(', ') }) };
    this.#forward(req, res, {
      ...forwarding,
      path,
      body: route.body,
      headers,
      onAnswer: (answer) => watchTokens(path, answer, track.sawTokens, permit?.charge.answering()),
    });
  }

  #refuse(request: Request, code: RefusalCode, details: RefusalDetails = {}, identity?: Identity): void {
    this.#answerRefusal(request, code, details);
    this.#reportRequest(request, identity);
  }

  #answerRefusal({ res, path }: Request, code: RefusalCode, details: RefusalDetails): void {
    refuse(res, code, path, this.#stopping ? { ...details, close: true } : details);
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
    this.#ports.reporter.add({ type: 'error', message: String(error) });
    this.#refuse(request, code);
  }

  #reportRequest({ req, res, path, address, startedAt }: Request, identity: Identity | undefined): void {
    this.#ports.reporter.add({
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
    this.#ports.reporter.add({
      type: 'sign-in-failed',
      address,
      reason: refusal === 'unauthenticated' ? reason : refusal,
    });
  }
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

/** One that was let in, and what it may do. */
interface Entered extends Request {
  readonly identity: Identity;
  readonly access: Access;
  readonly route: Route;
}

/** What a request is sent with. */
interface Sending extends Pick<Forwarding, 'checked' | 'rewrite'> {
  readonly permit?: Permit;
  readonly clamped?: readonly string[];
}

/** What cannot go on by its headers alone. */
function needsCheck({ route, access }: Entered): boolean {
  const { body, names, lists } = route;
  return body === 'json' || body === 'form' || names === 'path' || (lists !== undefined && !seesAll(access));
}

/** Whose request it is, for limits and turns. */
function callerOf({ user, keyId }: Identity, { limits, limitsPerKey, priority, weight }: Access): Caller {
  return {
    id: user.id,
    name: user.name,
    ...(keyId !== undefined && { keyId }),
    limits,
    limitsPerKey,
    priority,
    weight,
  };
}

/** Answers with something of the guard's own. */
function sendOwn(res: ServerResponse, type: string, body: string): void {
  res.setHeader('content-type', type);
  res.setHeader('cache-control', 'no-store');
  res.setHeader('content-length', Buffer.byteLength(body));
  res.end(body);
}
