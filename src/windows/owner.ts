import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { listenersOn } from '../checkup/listeners.ts';
import { type GuardConfig, isLoopback, parseConfig } from '../guard/config.ts';
import { canonicalAddress } from '../guard/entry/address.ts';
import { GuardError } from '../guard/errors.ts';
import type { UserEdit } from '../guard/identity/userEdit.ts';
import { type PolicyDocument, parsePolicy } from '../guard/policy/policyDocument.ts';
import { reaches } from '../guard/share/sharedAddress.ts';
import type { SharePlan, Sharing } from '../guard/share/sharing.ts';
import type { GuardState } from '../guard/state.ts';
import type { GuardHost } from '../threads/guardHost.ts';
import { currentAddress, type Interfaces } from './followInterface.ts';
import type { JoinedKeeper } from './joinedKeeper.ts';
import type { LastUsed } from './lastUsed.ts';
import { type Outcome, type OwnerFunctions, outcomeOf, type Snapshot, type Wanted, windowGone } from './messages.ts';
import type { UsersKeeper } from './usersKeeper.ts';

/** Streams under way get this long when the guard stops, in milliseconds: a person is waiting. */
const drainMs = 1_000;

/** A port that the window before this one has not let go of yet is tried again at this pace and for this long, in ms. */
const takeOverRetryMs = 500;
const takeOverMs = 8_000;

/** A window that closes waits this long for edits under way, in milliseconds. */
const settleMs = 2_000;

/** The end of sharing is looked for this often, in milliseconds: timers stand still while the computer sleeps. */
const endCheckMs = 10_000;

/** Whether the shared address still is one of this computer is looked at this often, in milliseconds. */
const addressCheckMs = 2_000;

/** What an owner works with. */
export interface OwnerPorts {
  readonly host: GuardHost;
  readonly users: UsersKeeper;
  readonly lastUsed: LastUsed;
  readonly joined: JoinedKeeper;
  /** Called when the state or what is wanted has changed, beyond what the host's listener hears of. */
  readonly onChange: () => void;
  readonly now?: () => number;
  readonly interfaces?: () => Interfaces;
}

/** The one window that runs the guard and changes the users, for all of them. */
export class Owner implements OwnerFunctions {
  readonly #ports: OwnerPorts;
  readonly #now: () => number;
  readonly #interfaces: () => Interfaces;
  /** What the guard was started with, and its policy as it is now; undefined unless it is meant to be running. */
  #config: GuardConfig | undefined;
  /** What the step under way is to end in, should this window not live to see it. */
  #coming: Wanted | undefined;
  /** Aborted when somebody asks for something else than the take-over that is under way. */
  #takingOver: AbortController | undefined;
  #end: NodeJS.Timeout | undefined;
  #addressCheck: NodeJS.Timeout | undefined;
  /** Steps that change what is running wait for one another here. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(ports: OwnerPorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
    this.#interfaces = ports.interfaces ?? networkInterfaces;
  }

  get snapshot(): Snapshot {
    const { host, users, lastUsed, joined } = this.#ports;
    const { state } = host;
    return {
      // The tries of a take-over that fail are of no interest until the last one has.
      state: this.#takingOver === undefined || state.status === 'running' ? state : starting,
      ...users.kept,
      lastUsed: lastUsed.times,
      wanted: this.#wanted(state),
      joined: joined.joined,
    };
  }

  start(config: GuardConfig): Promise<Outcome> {
    this.#takingOver?.abort();
    return this.#inTurn(async () => {
      if (this.#ports.host.state.status === 'running') return;
      this.#coming = { config };
      await this.#start(config);
    });
  }

  stop(): Promise<Outcome> {
    this.#takingOver?.abort();
    // A start under way is given up, and nobody waits for it.
    if (this.#ports.host.state.status === 'starting') void this.#ports.host.stop(0);
    return this.#inTurn(() => this.#stop());
  }

  restart(config: GuardConfig): Promise<Outcome> {
    this.#takingOver?.abort();
    return this.#inTurn(async () => {
      const sharing = this.#sharing;
      this.#coming = sharing === undefined ? { config } : { config: onLoopback(config), sharing };
      await this.#stop();
      if (sharing === undefined) await this.#start(config);
      else await this.#share(config, sharing);
    });
  }

  edit(edit: UserEdit): Promise<Outcome> {
    return this.#unlessClosed(() => this.#ports.users.edit(edit));
  }

  /** Whoever goes on with the guard goes by it too: it is part of what is wanted. */
  setPolicy(policy: PolicyDocument): Promise<Outcome> {
    return this.#inTurn(async () => {
      // It may come from another window.
      const checked = parsePolicy(policy);
      if (this.#config === undefined) return;
      this.#config = { ...this.#config, policy: checked };
      this.#ports.host.setPolicy(checked);
    });
  }

  join(link: string): Promise<Outcome> {
    return this.#unlessClosed(() => this.#ports.joined.join(link));
  }

  async cancelJoin(link: string): Promise<Outcome> {
    this.#ports.joined.cancelJoin(link);
    return { done: true };
  }

  leave(id: string): Promise<Outcome> {
    return this.#unlessClosed(() => this.#ports.joined.leave(id));
  }

  share(config: GuardConfig, plan: SharePlan): Promise<Outcome> {
    return this.#inTurn(async () => {
      // Checked like the setting: Node takes an address that is missing for every address there is.
      parseConfig({ ...config, host: plan.host });
      const { state } = this.#ports.host;
      const afterwards = this.#sharing?.afterwards ?? (state.status === 'running' ? 'loopback' : 'stop');
      await this.#share(config, { ...plan, url: '', paused: false, afterwards });
    });
  }

  pauseSharing(paused: boolean): Promise<Outcome> {
    return this.#inTurn(async () => {
      const sharing = this.#sharing;
      if (sharing !== undefined && sharing.paused !== paused) await this.#open({ ...sharing, paused });
    });
  }

  endSharing(): Promise<Outcome> {
    return this.#inTurn(() => this.#endSharing());
  }

  async stopRequest(id: number): Promise<Outcome> {
    await this.#ports.host.stopRequest(id);
    return { done: true };
  }

  /** Goes on with what another window was running, patiently, unless somebody asks for something else meanwhile. */
  takeOver(wanted: Wanted): Promise<Outcome> {
    const { config, sharing } = wanted;
    const takingOver = new AbortController();
    this.#takingOver = takingOver;
    this.#coming = wanted;
    return this.#inTurn(async () => {
      const ended = sharing?.until !== undefined && sharing.until <= this.#now();
      if (ended && sharing.afterwards === 'stop') return;
      await this.#startPatiently(config, takingOver.signal);
      if (sharing !== undefined && !ended) await this.#openOrElse(sharing);
    });
  }

  /** Ends the guard and writes what is left to write. What was wanted stays wanted, for another window to go on with. */
  async close(): Promise<void> {
    const { host, users, lastUsed, joined } = this.#ports;
    this.#closed = true;
    this.#takingOver?.abort();
    this.#clearTimers();
    const tooLong = sleep(settleMs, undefined, { ref: false });
    const settled = Promise.all([users.settled(), joined.settled()]);
    await Promise.all([host.stop(0), joined.close(), Promise.race([settled, tooLong])]);
    await lastUsed.flush();
  }

  get #sharing(): Sharing | undefined {
    const { state } = this.#ports.host;
    return state.status === 'running' ? state.sharing : undefined;
  }

  #wanted(state: GuardState): Wanted | null {
    if (this.#coming !== undefined) return this.#coming;
    if (this.#config === undefined || state.status !== 'running') return null;
    return { config: this.#config, ...(state.sharing && { sharing: state.sharing }) };
  }

  async #start(config: GuardConfig): Promise<void> {
    await this.#tryStart(config);
    if (this.#isPortHeld) await this.#nameProgram(config);
  }

  async #tryStart(config: GuardConfig): Promise<void> {
    const { host, users } = this.#ports;
    this.#config = config;
    try {
      await users.load();
      // It may come from another window. What was not checked could leave a limit out, or listen everywhere.
      if (!this.#closed) await host.start(parseConfig(config), users.kept.users);
    } catch (error) {
      if (!GuardError.is(error)) throw error;
      host.fail(error);
    }
  }

  /** Tries again while the port is held. */
  async #startPatiently(config: GuardConfig, signal: AbortSignal): Promise<void> {
    const deadline = this.#now() + takeOverMs;
    do {
      await this.#tryStart(config);
      if (!this.#isPortHeld) return;
      await sleep(takeOverRetryMs, undefined, { signal }).catch(() => undefined);
    } while (this.#now() < deadline && !signal.aborted);
    if (!signal.aborted) await this.#nameProgram(config);
  }

  get #isPortHeld(): boolean {
    const { state } = this.#ports.host;
    return state.status === 'failed' && state.code === 'address-in-use';
  }

  /** Says which program has the port, where the system tells. */
  async #nameProgram({ host, port }: GuardConfig): Promise<void> {
    const named = (await listenersOn(port)).filter(({ program }) => program !== undefined);
    const inTheWay = ({ address }: { readonly address: string }) => reaches(address, host) || reaches(host, address);
    const found = named.find(inTheWay) ?? named[0];
    if (found?.program === undefined || found.pid === undefined) return;
    const { program, pid } = found;
    this.#ports.host.fail(
      new GuardError(
        'address-in-use',
        'Port {port} is in use by {program} (process {pid}). Stop that program or choose another port.',
        { args: { port: String(port), program, pid: String(pid) } },
      ),
    );
  }

  async #stop(): Promise<void> {
    this.#clearTimers();
    this.#config = undefined;
    await this.#ports.host.stop(drainMs);
  }

  async #share(config: GuardConfig, sharing: Sharing): Promise<void> {
    const { host } = this.#ports;
    const base = onLoopback(config);
    const before = host.state.status === 'running' ? this.#config : undefined;
    if (before !== undefined && isLoopback(before.host)) {
      await this.#open(sharing);
      return;
    }
    this.#coming = { config: base, sharing };
    if (before !== undefined) await this.#stop();
    await this.#start(base);
    await this.#openOrElse(sharing, before);
  }

  /** Shares with a guard that was started for it; when that fails, goes back to what was `before`. */
  async #openOrElse(sharing: Sharing, before?: GuardConfig): Promise<void> {
    if (this.#ports.host.state.status !== 'running') return;
    try {
      await this.#open(sharing);
    } catch (error) {
      if (before !== undefined || sharing.afterwards === 'stop') await this.#stop();
      if (before !== undefined) {
        this.#coming = { config: before };
        await this.#start(before);
      }
      throw error;
    }
  }

  /** Makes the guard's listeners what `sharing` says, and tells of it. */
  async #open(wanted: Sharing): Promise<void> {
    const { host } = this.#ports;
    const sharing = { ...wanted, host: currentAddress(wanted, this.#interfaces()) };
    const { host: address, users, paused } = sharing;
    // What the guard listens on anyway has no listener of its own to close, so a pause lets nobody in there.
    const audience = paused ? { users: [] } : { ...(users && { users }) };
    const isClosed = paused && !this.#isOwn(address);
    const opened = await host.share(isClosed ? undefined : { host: address, ...audience });
    host.setSharing({ ...sharing, url: opened ?? sharing.url });
    this.#endLater(sharing.until);
    this.#followLater(sharing);
  }

  /** Whether the guard listens on an address while nothing is shared. */
  #isOwn(address: string): boolean {
    const { state } = this.#ports.host;
    const own = state.status === 'running' ? new URL(state.url).hostname.replace(/^\[|\]$/g, '') : '';
    return reaches(own, canonicalAddress(address));
  }

  #endLater(until: number | undefined): void {
    clearTimeout(this.#end);
    if (until === undefined || this.#closed) return;
    const waitMs = Math.min(endCheckMs, Math.max(0, until - this.#now()));
    this.#end = setTimeout(() => {
      if (this.#now() < until) this.#endLater(until);
      else void this.endSharing();
    }, waitMs);
  }

  /** A computer that comes into another network gets another address: sharing goes on there, on the same interface. */
  #followLater(sharing: Sharing): void {
    clearTimeout(this.#addressCheck);
    if (sharing.interfaceName === undefined || sharing.paused || this.#closed) return;
    this.#addressCheck = setTimeout(async () => {
      const hasMoved = currentAddress(sharing, this.#interfaces()) !== sharing.host;
      if (hasMoved) await this.#inTurn(() => this.#follow());
      else this.#followLater(sharing);
    }, addressCheckMs);
  }

  async #follow(): Promise<void> {
    const sharing = this.#sharing;
    if (sharing === undefined || sharing.paused) return;
    // Listening there may fail while the computer settles in its new network.
    this.#followLater(sharing);
    await this.#open(sharing);
  }

  #clearTimers(): void {
    clearTimeout(this.#end);
    clearTimeout(this.#addressCheck);
  }

  async #endSharing(): Promise<void> {
    this.#clearTimers();
    const { host } = this.#ports;
    const sharing = this.#sharing;
    if (sharing === undefined) return;
    if (sharing.afterwards === 'stop') {
      await this.#stop();
      return;
    }
    await host.share(undefined);
    host.setSharing(undefined);
  }

  /** For what does not wait for the steps that change what is running. */
  #unlessClosed(step: () => Promise<void>): Promise<Outcome> {
    return outcomeOf(this.#closed ? Promise.reject(windowGone()) : step());
  }

  #inTurn(step: () => Promise<void>): Promise<Outcome> {
    const done = this.#last.then(() => outcomeOf(this.#take(step)));
    this.#last = done;
    return done;
  }

  /** Another window goes on with what was wanted, so a step that meets the end of this one has done nothing. */
  async #take(step: () => Promise<void>): Promise<void> {
    try {
      if (!this.#closed) await step();
    } finally {
      this.#coming = undefined;
      this.#takingOver = undefined;
      this.#ports.onChange();
    }
    if (this.#closed) throw windowGone();
  }
}

const starting: GuardState = { status: 'starting' };

/** What is shared for a while must not be open for good beside it. */
function onLoopback(config: GuardConfig): GuardConfig {
  return { ...config, host: '127.0.0.1' };
}
