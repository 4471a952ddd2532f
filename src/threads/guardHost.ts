import { isDeepStrictEqual } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { GuardConfig } from '../guard/config.ts';
import { GuardError } from '../guard/errors.ts';
import { checkPassword } from '../guard/identity/password.ts';
import type { ApiKeyRecord, User } from '../guard/identity/users.ts';
import type { PolicyDocument } from '../guard/policy/policyDocument.ts';
import type { SharedAddress } from '../guard/share/sharedAddress.ts';
import type { Sharing } from '../guard/share/sharing.ts';
import type { GuardState } from '../guard/state.ts';
import type { EndpointTls } from '../guard/tls/certificate.ts';
import type { Vault } from '../guard/tls/vault.ts';
import type { Activity } from '../guard/usage/activity.ts';
import type { GuardEvent, Report } from '../guard/usage/events.ts';
import { guardThreadEntry } from './entries.ts';
import { HashClient } from './hashClient.ts';
import {
  connect,
  type Failure,
  failureOf,
  type GuardHostFunctions,
  type GuardThreadData,
  type GuardThreadFunctions,
  throwFailure,
} from './messages.ts';

/** Gets the state whenever it changes, and the events of the guard. */
export interface GuardHostListener {
  onState(state: GuardState): void;
  onEvents(events: readonly GuardEvent[], dropped: number): void;
  /** Called at most four times a second while the activity is watched. */
  onActivity?(activity: Activity): void;
  /** Gets ids of users and API keys that signed in, and when, in milliseconds since the epoch. */
  onUsed?(used: Readonly<Record<string, number>>): void;
}

/** What a guard needs its host for. */
export interface GuardHostPorts {
  /** Where private keys are kept. */
  readonly vault: Vault;
  /** Where what was used of a day's tokens is kept between starts; nowhere unless given. */
  readonly dataFolder?: string;
  /**
   * Exchanges an invite for an API key, once and for all: the users are stored, and `setUsers` was called, when it
   * resolves.
   *
   * @throws GuardError `invite-unknown`, `data-unavailable`, `data-damaged`.
   */
  readonly redeemInvite: (inviteId: string, key: ApiKeyRecord) => Promise<void>;
}

/** A guard that does not stop within its drain and this many milliseconds more is ended with its thread. */
const stopGraceMs = 2_000;

/**
 * What V8 may take for short-lived objects on the guard thread. Streams live long and requests leave little behind; the
 * default of 48 MB would be most of what 1,000 idle streams cost.
 */
const maxYoungGenerationSizeMb = 16;

interface GuardThread {
  readonly worker: Worker;
  readonly calls: ReturnType<typeof connect<GuardThreadFunctions, GuardHostFunctions>>;
}

/**
 * Runs a guard on threads of its own, for the extension and the command line alike. Lives on the host's thread, which
 * never sees a proxied byte and never hashes.
 */
export class GuardHost {
  readonly #listener: GuardHostListener;
  readonly #ports: GuardHostPorts;
  readonly #hash = new HashClient((error) => this.#threadDied(error));
  #state: GuardState = { status: 'stopped' };
  #thread: GuardThread | undefined;
  /** The users as last told, also while the guard starts and cannot take them yet. */
  #users: readonly User[] = [];
  #watching = false;
  /** Start and stop wait for one another here. */
  #last: Promise<void> = Promise.resolve();

  constructor(listener: GuardHostListener, ports: GuardHostPorts) {
    this.#listener = listener;
    this.#ports = ports;
  }

  get state(): GuardState {
    return this.#state;
  }

  /** Starts the guard, after any stop that is under way. The outcome is the state it resolves with. */
  start(config: GuardConfig, users: readonly User[]): Promise<GuardState> {
    this.#users = users;
    return this.#inTurn(() => this.#start(config));
  }

  /**
   * Stops the guard; requests under way get `drainMs` milliseconds to finish. One that starts is given up: what it waits
   * for, such as a certificate, may take minutes.
   */
  stop(drainMs: number): Promise<GuardState> {
    if (this.#state.status === 'starting') void this.#endThread();
    return this.#inTurn(() => this.#stop(drainMs));
  }

  /** Takes the state `failed` for a start that came to grief before it reached the threads. */
  fail({ code, detail }: GuardError): void {
    this.#setState({ status: 'failed', code, message: detail });
  }

  /** Replaces the users of a running guard, from the next request on. */
  setUsers(users: readonly User[]): void {
    this.#users = users;
    if (this.#state.status !== 'running') return;
    void this.#thread?.calls.setUsers.asEvent(users);
    this.#setState({ ...this.#state, users: users.length });
  }

  /** Replaces the policy of a running guard, from the next request on; one that starts has its configuration's. */
  setPolicy(policy: PolicyDocument): void {
    if (this.#state.status === 'running') void this.#thread?.calls.setPolicy.asEvent(policy);
  }

  /** Whether the listener is told what goes on in the guard, across its starts and stops. */
  watchActivity(on: boolean): void {
    this.#watching = on;
    if (this.#state.status === 'running') void this.#thread?.calls.watchActivity.asEvent(on);
  }

  /** Ends one request under way, by its id in the activity; false when there is none. */
  async stopRequest(id: number): Promise<boolean> {
    if (this.#state.status !== 'running') return false;
    // A thread that dies takes its requests along.
    return (await this.#thread?.calls.stopRequest(id).catch(() => false)) ?? false;
  }

  /**
   * Shares on a second address, or ends that: see Guard.share.
   *
   * @returns where it is reached; undefined when nothing is shared, as when no guard runs.
   * @throws GuardError why it is not shared; then all is as before.
   */
  async share(plan: SharedAddress | undefined): Promise<string | undefined> {
    if (this.#state.status !== 'running') return undefined;
    const result = await this.#thread?.calls.share(plan).catch(() => undefined);
    if (result === undefined) return undefined;
    if (!('url' in result)) throwFailure(result);
    if (result.tls !== undefined) this.#onTls(result.tls);
    return result.url;
  }

  /** Shows sharing in the state, for as long as this guard runs. */
  setSharing(sharing: Sharing | undefined): void {
    if (this.#state.status !== 'running') return;
    const { sharing: _before, ...state } = this.#state;
    this.#setState({ ...state, ...(sharing && { sharing }) });
  }

  /**
   * Hashes a new password on the hash thread.
   *
   * @throws GuardError `password-invalid`.
   */
  async hashPassword(password: string): Promise<string> {
    checkPassword(password);
    return this.#hash.hash(password);
  }

  /** Stops everything; the host can be thrown away after. */
  async dispose(drainMs = 0): Promise<void> {
    await this.stop(drainMs);
    await this.#hash.stop();
  }

  #inTurn(step: () => Promise<void>): Promise<GuardState> {
    const done = this.#last.then(step);
    this.#last = done.catch(() => undefined);
    return done.then(() => this.#state);
  }

  async #start(config: GuardConfig): Promise<void> {
    if (this.#state.status === 'running') return;
    this.#setState({ status: 'starting' });
    const users = this.#users;
    const thread = this.#spawn();
    try {
      const result = await thread.calls.start(config, users);
      if ('url' in result) {
        const counts = { served: 0, active: 0 };
        const { url, tls } = result;
        const endpoint = { url, upstream: config.upstream, users: users.length, counts, ...(tls && { tls }) };
        this.#setState({ status: 'running', ...endpoint });
        if (this.#users !== users) this.setUsers(this.#users);
        if (this.#watching) this.watchActivity(true);
        return;
      }
      const { code, detail } = result;
      this.#setState({ status: 'failed', message: detail, ...(code && { code }) });
    } catch (error) {
      // When the thread died, `#threadDied` has said why already.
      if (this.#thread === thread) {
        const message = { text: 'The guard could not start: {reason}', args: { reason: String(error) } };
        this.#setState({ status: 'failed', message });
      }
    }
    await this.#endThread();
  }

  async #stop(drainMs: number): Promise<void> {
    if (this.#thread === undefined) {
      this.#setState({ status: 'stopped' });
      return;
    }
    this.#setState({ status: 'stopping' });
    const tooLong = new Promise<void>((resolve) => setTimeout(resolve, drainMs + stopGraceMs).unref());
    await Promise.race([this.#thread.calls.stop(drainMs).catch(() => undefined), tooLong]);
    await this.#endThread();
    this.#setState({ status: 'stopped' });
  }

  #spawn(): GuardThread {
    const hashPort = this.#hash.openPort();
    const worker = new Worker(guardThreadEntry, {
      name: 'ollama-guard',
      execArgv: [],
      workerData: { hashPort, dataFolder: this.#ports.dataFolder } satisfies GuardThreadData,
      transferList: [hashPort],
      resourceLimits: { maxYoungGenerationSizeMb },
    });
    const calls = connect<GuardThreadFunctions, GuardHostFunctions>(worker, {
      onReport: (report) => this.#onReport(report),
      onTls: (tls) => this.#onTls(tls),
      readVault: (entry) => asResult(this.#ports.vault.read(entry)),
      writeVault: (entry, text) => asResult(this.#ports.vault.write(entry, text).then(() => undefined)),
      redeemInvite: (inviteId, key) => this.#redeemInvite(inviteId, key),
    });
    const thread = { worker, calls };
    const died = (reason: string) => {
      if (this.#thread !== thread) return;
      this.#threadDied(new GuardError('thread-died', 'The guard thread died: {reason}.', { args: { reason } }));
    };
    worker.on('error', (error) => died(String(error)));
    worker.on('exit', () => died('it ended'));
    this.#thread = thread;
    return thread;
  }

  #onReport({ events, dropped, counts, used, activity }: Report): void {
    if (this.#state.status === 'running' && !isDeepStrictEqual(this.#state.counts, counts)) {
      this.#setState({ ...this.#state, counts });
    }
    this.#listener.onEvents(events, dropped);
    if (Object.keys(used).length > 0) this.#listener.onUsed?.(used);
    if (activity !== undefined) this.#listener.onActivity?.(activity);
  }

  /** Undefined when it was done; then the guard thread has been told of the new key before this arrives. */
  async #redeemInvite(inviteId: string, key: ApiKeyRecord): Promise<Failure | undefined> {
    const result = await asResult(this.#ports.redeemInvite(inviteId, key).then(() => undefined));
    return 'text' in result ? undefined : result;
  }

  #onTls(tls: EndpointTls): void {
    if (this.#state.status === 'running') this.#setState({ ...this.#state, tls });
  }

  /** Fails closed: without either thread nobody is let in, and the owner is told. */
  #threadDied(error: GuardError): void {
    if (this.#thread === undefined) return;
    const ended = this.#endThread();
    // The port is free when the thread has ended, and not before.
    this.#last = this.#last.then(() => ended);
    this.fail(error);
  }

  async #endThread(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    thread?.calls.$close();
    await thread?.worker.terminate();
  }

  #setState(state: GuardState): void {
    if (state.status === this.#state.status && state.status === 'stopped') return;
    this.#state = state;
    this.#listener.onState(state);
  }
}

/** Errors lose their class on the way to the guard thread. */
async function asResult(text: Promise<string | undefined>): Promise<{ readonly text: string | undefined } | Failure> {
  try {
    return { text: await text };
  } catch (error) {
    return failureOf(error);
  }
}
