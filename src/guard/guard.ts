import type { IncomingMessage } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Counters } from './admission/counters.ts';
import { CountsFile } from './admission/countsFile.ts';
import { createFailedLogins, type FailedLogins } from './admission/failedLogins.ts';
import { endpointUrl, type GuardConfig, isLoopback, schemeOf } from './config.ts';
import { canonicalAddress } from './entry/address.ts';
import { close, createListener, type Listener, listen, listeningAt } from './entry/listener.ts';
import { GuardError } from './errors.ts';
import { listModels } from './forward/probe.ts';
import { Gate } from './gate.ts';
import { Authenticator, type ComparePassword } from './identity/authenticator.ts';
import { TokenVerifier } from './identity/tokenVerifier.ts';
import type { ApiKeyRecord, User } from './identity/users.ts';
import { InviteDesk } from './join/inviteDesk.ts';
import { JoinPages } from './join/joinPages.ts';
import type { ListedModel } from './policy/lists.ts';
import { resolvePolicy } from './policy/policy.ts';
import type { PolicyDocument } from './policy/policyDocument.ts';
import { isSharedWith, reaches, type Share, type SharedAddress } from './share/sharedAddress.ts';
import type { EndpointTls } from './tls/certificate.ts';
import { EndpointCertificate } from './tls/endpointCertificate.ts';
import type { Vault } from './tls/vault.ts';
import { type Report, Reporter } from './usage/events.ts';
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
  /** Where what was used of a day's tokens is kept between starts; nowhere unless given. */
  readonly dataFolder?: string;
  /** Exchanges an invite for an API key, once and for all; see GuardHostPorts. */
  readonly redeemInvite: (inviteId: string, key: ApiKeyRecord) => Promise<void>;
  /** Called when the certificate, or what stands in the way of a newer one, has changed. */
  readonly onTls: (tls: EndpointTls) => void;
  readonly failedLogins?: FailedLogins;
  /** Reads Ollama's own list of models; replaced in tests. */
  readonly listModels?: () => Promise<readonly ListedModel[]>;
}

/** Reports come at most four times a second. */
const reportIntervalMs = 250;

/** How often streams are held against what their credential has become, in milliseconds: it may have run out. */
const expiryCheckMs = 1_000;

/** A guard that stops waits this long until what its last requests used is counted, in milliseconds. */
const settleMs = 1_000;

/** How long Ollama is waited for to list its models, in milliseconds. */
const listPatienceMs = 10_000;

/** A guard: what listens and for whom, its certificate and its gate, from start to stop. */
export class Guard {
  readonly #config: GuardConfig;
  readonly #certificate: EndpointCertificate;
  readonly #server: Listener;
  readonly #tokens: TokenVerifier;
  readonly #authenticator: Authenticator;
  readonly #inviteDesk: InviteDesk;
  readonly #gate: Gate;
  readonly #reporter: Reporter;
  readonly #counters = new Counters(() => this.#countsFile?.writeLater());
  readonly #countsFile: CountsFile | undefined;
  readonly #activity = new ActivityTracker(() => this.#reporter.activityChanged());
  /** What took a connection. */
  readonly #cameBy = new WeakMap<Socket, Listener>();
  readonly #expiryCheck = setInterval(() => this.#gate.endStale(), expiryCheckMs).unref();
  #userCount: number;
  #share: Share | undefined;
  /** Changes of what is shared wait for one another here. */
  #sharing: Promise<unknown> = Promise.resolve();
  #stopping = false;

  private constructor(options: GuardOptions) {
    const { config, users, comparePassword, onReport, vault, dataFolder, redeemInvite, onTls, failedLogins } = options;
    this.#config = config;
    const policy = resolvePolicy(config.policy);
    this.#tokens = new TokenVerifier(policy.issuers);
    const { tls, allowedHosts } = config;
    this.#certificate = new EndpointCertificate({ config: tls, allowedHosts, vault, onChange: onTls });
    this.#server = this.#createServer();
    this.#authenticator = new Authenticator({
      comparePassword,
      failedLogins: failedLogins ?? createFailedLogins(),
      verifyToken: (text) => this.#tokens.verify(text),
      isIssuerKnown: (issuer) => this.#tokens.knows(issuer),
    });
    this.#authenticator.setUsers(users);
    this.#inviteDesk = new InviteDesk({ redeemInvite });
    this.#inviteDesk.setUsers(users);
    const joinPages = new JoinPages({
      desk: this.#inviteDesk,
      upstream: config.upstream,
      bodyTimeoutMs: config.headersTimeoutMs,
      tls: () => this.#certificate.tls,
      mayUse: (user, model) => this.#gate.mayUse(user, model),
    });
    this.#userCount = users.length;
    this.#reporter = new Reporter(onReport, reportIntervalMs);
    this.#countsFile =
      dataFolder === undefined
        ? undefined
        : new CountsFile({
            folder: dataFolder,
            counts: () => this.#counters.kept,
            onProblem: (message) => this.#reporter.add({ type: 'error', message }),
          });
    this.#gate = new Gate({
      config,
      policy,
      authenticator: this.#authenticator,
      counters: this.#counters,
      joinPages,
      reporter: this.#reporter,
      activity: this.#activity,
      tls: () => this.#certificate.tls,
      isSharedWith: (who, req) => this.#isSharedWith(who, req),
      listModels: options.listModels ?? (() => listModels(config.upstream, listPatienceMs)),
      onOver: () => {
        if (this.#stopping) setImmediate(() => this.#closeIdleConnections());
      },
    });
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
    guard.#counters.restore((await guard.#countsFile?.read()) ?? []);
    try {
      await listen(guard.#server, host, port);
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
    this.#gate.endStale();
  }

  /**
   * Replaces the policy. What a role may applies to the next request: those under way and waiting keep what it was when
   * they were let in. The numbers of the queue hold at once, for those that wait too, and streams of people whose issuer
   * is gone end now.
   */
  setPolicy(policy: PolicyDocument): void {
    const resolved = resolvePolicy(policy);
    this.#tokens.setIssuers(resolved.issuers);
    this.#gate.setPolicy(resolved);
    this.#gate.endStale();
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
    this.#gate.endStale();
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
        onRequest: (req, res) => this.#gate.handle(req, res),
        onConnection: (socket) => {
          this.#cameBy.set(socket, server);
          socket.on('close', () => this.#activity.signedOut(socket));
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

  #isSharedWith({ user }: { readonly user: User }, { socket }: IncomingMessage): boolean {
    return this.#share === undefined || isSharedWith(this.#share, user.id, socket, this.#cameBy.get(socket));
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
    this.#gate.stop();
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
    await Promise.race([this.#gate.close(), sleep(settleMs, undefined, { ref: false })]);
    await this.#countsFile?.flush();
    // What waits for a certificate may take longer than whoever stops this has patience.
    await this.#sharing;
    this.#tokens.close();
    this.#reporter.flush();
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
