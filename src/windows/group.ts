import { setTimeout as sleep } from 'node:timers/promises';
import type { BirpcReturn } from 'birpc';
import type { GuardConfig } from '../guard/config.ts';
import { GuardError } from '../guard/errors.ts';
import type { UserEdit } from '../guard/identity/userEdit.ts';
import type { User } from '../guard/identity/users.ts';
import type { PolicyDocument } from '../guard/policy/policyDocument.ts';
import type { SharePlan } from '../guard/share/sharing.ts';
import type { GuardState } from '../guard/state.ts';
import type { Vault } from '../guard/tls/vault.ts';
import type { Activity } from '../guard/usage/activity.ts';
import type { GuardEvent } from '../guard/usage/events.ts';
import { ConnectorHost } from '../threads/connectorHost.ts';
import { GuardHost } from '../threads/guardHost.ts';
import { connect } from '../threads/messages.ts';
import type { ControlChannel } from './channel.ts';
import { Followers } from './followers.ts';
import { JoinedKeeper, type JoinedStore } from './joinedKeeper.ts';
import { LastUsed } from './lastUsed.ts';
import {
  type FollowedFunctions,
  type FollowerFunctions,
  type Outcome,
  type OwnerFunctions,
  orThrow,
  outcomeOf,
  protocol,
  type Snapshot,
  type Wanted,
  windowGone,
} from './messages.ts';
import { Owner } from './owner.ts';
import { join, type Membership } from './rendezvous.ts';
import { type UserStore, UsersKeeper } from './usersKeeper.ts';

/** What a window brings along. */
export interface GroupOptions {
  /** A folder all windows have in common. */
  readonly folder: string;
  readonly store: UserStore;
  /** Where private keys are kept. */
  readonly vault: Vault;
  /** Where endpoints of others that were joined are kept. */
  readonly joined: JoinedStore;
  readonly listener: GroupListener;
  /**
   * Whether there still is a window. An extension host outlives its own for hours where VS Code is remote, waiting for it
   * to come back, and what it asks of VS Code meanwhile, secrets for one, is never answered.
   */
  hasWindow(): Promise<boolean>;
}

/** What a window hears. */
export interface GroupListener {
  /** Something of the snapshot is new. */
  onChange(change: Partial<Snapshot>): void;
  onActivity(activity: Activity): void;
  /** In the owning window alone. */
  onEvents(events: readonly GuardEvent[], dropped: number): void;
  /** A problem nobody waits for the outcome of. */
  onProblem(error: unknown): void;
}

/** After a rendezvous that failed, the next try is this much later, in milliseconds. */
const rejoinMs = 2_000;

/** A person waits this long for the window that owns the guard to answer, in milliseconds. */
const patienceMs = 10_000;

/** An owner that is about to go is asked again after this long, in milliseconds. */
const askAgainMs = 200;

const nothing: Snapshot = {
  state: { status: 'stopped' },
  users: [],
  revision: 0,
  storage: 'kept',
  lastUsed: {},
  wanted: null,
  joined: [],
};

type Followed = BirpcReturn<FollowedFunctions, FollowerFunctions>;

interface Owning {
  readonly owner: Owner;
  readonly users: UsersKeeper;
  readonly lastUsed: LastUsed;
}

/**
 * All windows of one VS Code, seen from one of them: one owns the guard and the users, the others follow, and when the
 * owner goes another takes over what was meant to be running. Whichever this window is, it can do the same.
 */
export class Group {
  readonly #options: GroupOptions;
  readonly #host: GuardHost;
  readonly #closing = new AbortController();
  readonly #followers = new Followers(() => this.#tellWatching());
  readonly #ended: Promise<void>;
  #snapshot: Snapshot = nothing;
  #owning: Owning | undefined;
  /** Ends this window's time as the owner. */
  #leaving = new AbortController();
  #followed: Followed | undefined;
  /** Resolves with whom to ask; replaced when the owner goes. */
  #asked = Promise.withResolvers<OwnerFunctions>();
  #watching = false;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#host = new GuardHost(
      {
        onState: () => this.#publishGuard(),
        onActivity: (activity) => this.#onActivity(activity),
        onUsed: (used) => this.#onUsed(used),
        onEvents: (events, dropped) => options.listener.onEvents(events, dropped),
      },
      {
        vault: options.vault,
        dataFolder: options.folder,
        redeemInvite: async (inviteId, key) => {
          if (this.#owning === undefined) throw windowGone();
          await this.#owning.users.edit({ kind: 'redeem-invite', inviteId, key });
        },
      },
    );
    this.#ended = this.#stayTogether();
  }

  /** The state as this window shows it: what runs in another window is `following` here. */
  get state(): GuardState {
    const { state } = this.#snapshot;
    return state.status === 'running' && this.#owning === undefined ? { ...state, status: 'following' } : state;
  }

  /** Whether it is this window that runs the guard. */
  get isOwner(): boolean {
    return this.#owning !== undefined;
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Starts the guard; the outcome is the state. */
  start(config: GuardConfig): Promise<void> {
    return this.#ask((owner) => owner.start(config));
  }

  stop(): Promise<void> {
    return this.#ask((owner) => owner.stop());
  }

  /** Stops and starts, to go by a new configuration. Sharing goes on. */
  restart(config: GuardConfig): Promise<void> {
    return this.#ask((owner) => owner.restart(config));
  }

  /** @throws GuardError what the edit throws; then nothing has changed. */
  edit(edit: UserEdit): Promise<void> {
    return this.#ask((owner) => owner.edit(edit));
  }

  /**
   * Replaces the policy of a guard that runs or starts.
   *
   * @throws GuardError `policy-invalid`; then the one before stays.
   */
  setPolicy(policy: PolicyDocument): Promise<void> {
    return this.#ask((owner) => owner.setPolicy(policy));
  }

  /** @throws GuardError what stands in the way of listening there. */
  share(config: GuardConfig, plan: SharePlan): Promise<void> {
    return this.#ask((owner) => owner.share(config, plan));
  }

  pauseSharing(paused: boolean): Promise<void> {
    return this.#ask((owner) => owner.pauseSharing(paused));
  }

  endSharing(): Promise<void> {
    return this.#ask((owner) => owner.endSharing());
  }

  stopRequest(id: number): Promise<void> {
    return this.#ask((owner) => owner.stopRequest(id));
  }

  /**
   * Joins the endpoint that an invite is for.
   *
   * @param signal gives up, unless the invite was taken already.
   * @throws GuardError why it is not joined; the reason of `signal`.
   */
  async join(link: string, signal: AbortSignal): Promise<void> {
    const cancel = () => {
      this.#ask((owner) => owner.cancelJoin(link)).catch(this.#options.listener.onProblem);
    };
    signal.addEventListener('abort', cancel);
    try {
      signal.throwIfAborted();
      await this.#ask((owner) => owner.join(link));
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** @throws GuardError `joined-unknown`, `data-unavailable`, `data-damaged`. */
  leave(id: string): Promise<void> {
    return this.#ask((owner) => owner.leave(id));
  }

  /** Whether this window wants to hear of activity; nothing is reported while no window does. */
  watchActivity(on: boolean): void {
    this.#watching = on;
    this.#tellWatching();
  }

  /**
   * Shows a failure to start that came before anybody was asked to.
   *
   * @throws GuardError the failure itself while a guard runs: that one goes on.
   */
  fail(error: GuardError): void {
    const { status } = this.#snapshot.state;
    if (status !== 'stopped' && status !== 'failed') throw error;
    if (this.#owning !== undefined) this.#host.fail(error);
    else this.#showFailure(error);
  }

  /** @throws GuardError `password-invalid`. */
  hashPassword(password: string): Promise<string> {
    return this.#host.hashPassword(password);
  }

  /** To be called when the stored users may have been changed from outside. */
  async refreshUsers(): Promise<void> {
    await this.#owning?.users.load().catch((error: unknown) => this.#options.listener.onProblem(error));
  }

  /** Leaves the group. A guard that runs here is stopped; another window goes on with it. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#ended;
    await this.#host.dispose();
  }

  async #stayTogether(): Promise<void> {
    const { signal } = this.#closing;
    let told: string | undefined;
    while (!signal.aborted) {
      try {
        if (!(await this.#options.hasWindow())) {
          await sleep(rejoinMs, undefined, { signal });
          continue;
        }
        const membership = await this.#join();
        if (membership.role === 'owner') {
          await this.#own(membership);
          // Whoever it was left to comes first.
          await sleep(rejoinMs, undefined, { signal }).catch(() => undefined);
        } else await this.#follow(membership.channel);
        told = undefined;
      } catch (error) {
        if (signal.aborted) return;
        // It is tried again and again, and told once.
        if (String(error) !== told) {
          told = String(error);
          this.#options.listener.onProblem(error);
          if (GuardError.is(error)) this.#showFailure(error);
        }
        await sleep(rejoinMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #join(): Promise<Membership> {
    try {
      return await join({ folder: this.#options.folder, protocol, signal: this.#closing.signal });
    } catch (error) {
      if (!GuardError.is(error, 'data-unavailable')) throw error;
      // Without a common folder this window is alone; the port is still a lock.
      this.#options.listener.onProblem(error);
      return alone;
    }
  }

  /** Owns the guard until this window closes, or is found to be gone while others are there. */
  async #own(membership: Membership & { role: 'owner' }): Promise<void> {
    const { folder, store, listener } = this.#options;
    const { wanted, ...known } = this.#snapshot;
    this.#leaving = new AbortController();
    const signal = AbortSignal.any([this.#closing.signal, this.#leaving.signal]);
    const lastUsed = new LastUsed(folder);
    const users = new UsersKeeper(store, known, (kept) => {
      this.#host.setUsers(kept.users);
      if (kept.storage === 'kept') lastUsed.prune(idsOf(kept.users));
      this.#publish(kept);
    });
    const connectors = new ConnectorHost({
      onLink: (id, link) => joined.onLink(id, link),
      onDeath: (error) => joined.onDeath(error),
    });
    const joined = new JoinedKeeper({
      store: this.#options.joined,
      connectors,
      onChange: (endpoints) => this.#publish({ joined: endpoints }),
      onProblem: listener.onProblem,
    });
    const owner = new Owner({ host: this.#host, users, lastUsed, joined, onChange: () => this.#publishGuard() });
    try {
      await lastUsed.load(known.lastUsed);
      await users.load().catch((error: unknown) => listener.onProblem(error));
      if (signal.aborted) return;
      this.#owning = { owner, users, lastUsed };
      joined.load().catch((error: unknown) => listener.onProblem(error));
      if (wanted !== null) void this.#takeOver(owner, wanted);
      this.#publish(owner.snapshot);
      const functions = this.#toFollowers(owner);
      membership.onFollower((channel) => {
        this.#followers.add(channel, functions, this.#snapshot);
        void this.#leaveWithoutWindow();
      });
      this.#asked.resolve(owner);
      this.#tellWatching();
      await aborted(signal);
    } finally {
      await owner.close();
      await membership.close();
      this.#owning = undefined;
      this.#asked = Promise.withResolvers();
    }
  }

  /** Whoever asks the owner for something meanwhile does so after this, or instead of it. */
  async #takeOver(owner: Owner, wanted: Wanted): Promise<void> {
    try {
      orThrow(await owner.takeOver(wanted));
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#options.listener.onProblem(error);
    }
  }

  /** What windows that follow this one may ask of its owner. */
  #toFollowers(owner: Owner): OwnerFunctions {
    const answer = async (step: () => Promise<Outcome>) =>
      (await this.#leaveWithoutWindow()) ? outcomeOf(Promise.reject(windowGone())) : step();
    return {
      start: (config) => answer(() => owner.start(config)),
      stop: () => answer(() => owner.stop()),
      restart: (config) => answer(() => owner.restart(config)),
      edit: (edit) => answer(() => owner.edit(edit)),
      setPolicy: (policy) => answer(() => owner.setPolicy(policy)),
      share: (config, plan) => answer(() => owner.share(config, plan)),
      pauseSharing: (paused) => answer(() => owner.pauseSharing(paused)),
      endSharing: () => answer(() => owner.endSharing()),
      stopRequest: (id) => answer(() => owner.stopRequest(id)),
      join: (link) => answer(() => owner.join(link)),
      cancelJoin: (link) => answer(() => owner.cancelJoin(link)),
      leave: (id) => answer(() => owner.leave(id)),
    };
  }

  /** Leaves the guard to a window that somebody can see, when this one is gone; says whether it does. */
  async #leaveWithoutWindow(): Promise<boolean> {
    if (!(await this.#options.hasWindow())) this.#leaving.abort();
    return this.#leaving.signal.aborted;
  }

  /** Follows another window until that one goes. */
  async #follow(channel: ControlChannel): Promise<void> {
    const gone = new Promise<void>((resolve) => channel.onClose(resolve));
    const leave = () => channel.close();
    if (this.#closing.signal.aborted) leave();
    else this.#closing.signal.addEventListener('abort', leave, { once: true });
    let isAnswering = false;
    const followed = connect<FollowedFunctions, FollowerFunctions>(
      channel,
      {
        onSnapshot: (change) => {
          this.#apply(change);
          isAnswering = true;
          this.#asked.resolve(followed);
        },
        onActivity: (activity) => {
          if (this.#watching) this.#options.listener.onActivity(activity);
        },
      },
      { eventNames: ['watch'] },
    );
    this.#followed = followed;
    this.#tellWatching();
    await gone;
    this.#closing.signal.removeEventListener('abort', leave);
    this.#followed = undefined;
    // Whoever waits for an owner that never said a word waits for the next one.
    if (isAnswering) this.#asked = Promise.withResolvers();
    followed.$close(windowGone());
  }

  /** Asks the owner, whichever window that is. */
  async #ask(call: (owner: OwnerFunctions) => Promise<Outcome>): Promise<void> {
    const giveUp = AbortSignal.any([AbortSignal.timeout(patienceMs), this.#closing.signal]);
    for (;;) {
      const owner = await Promise.race([this.#asked.promise, aborted(giveUp)]);
      if (owner === undefined) throw windowGone();
      const outcome = await call(owner).catch((error: unknown) => {
        throw GuardError.is(error) ? error : windowGone(error);
      });
      // Said by an owner that goes, and has done nothing: the next one is asked.
      if (!('code' in outcome && outcome.code === 'window-gone') || giveUp.aborted) {
        orThrow(outcome);
        return;
      }
      await sleep(askAgainMs);
    }
  }

  #tellWatching(): void {
    void this.#followed?.watch(this.#watching);
    if (this.#owning === undefined) return;
    this.#host.watchActivity(this.#watching || this.#followers.watch);
  }

  #onActivity(activity: Activity): void {
    if (this.#watching) this.#options.listener.onActivity(activity);
    this.#followers.publishActivity(activity);
  }

  #onUsed(used: Readonly<Record<string, number>>): void {
    this.#owning?.lastUsed.note(used);
    this.#publish({ lastUsed: used });
  }

  /** A failure of this window to be with the others. What is wanted stays wanted. */
  #showFailure({ code, detail }: GuardError): void {
    this.#apply({ state: { status: 'failed', code, message: detail } });
  }

  /** Tells what the guard does and is meant to do. A window that goes keeps its end to itself. */
  #publishGuard(): void {
    if (this.#owning === undefined || this.#closing.signal.aborted || this.#leaving.signal.aborted) return;
    const { state, wanted } = this.#owning.owner.snapshot;
    this.#publish({ ...(state !== this.#snapshot.state && { state }), wanted });
  }

  /** Shows a change in this window and tells the others. */
  #publish(change: Partial<Snapshot>): void {
    this.#apply(change);
    this.#followers.publish(change);
  }

  #apply(change: Partial<Snapshot>): void {
    const lastUsed = { ...this.#snapshot.lastUsed, ...change.lastUsed };
    this.#snapshot = { ...this.#snapshot, ...change, lastUsed };
    this.#options.listener.onChange(change);
  }
}

/** The membership of a window that cannot meet others. */
const alone: Membership & { role: 'owner' } = {
  role: 'owner',
  onFollower: () => undefined,
  close: async () => undefined,
};

/** Of all users, API keys and public keys. */
function idsOf(users: readonly User[]): ReadonlySet<string> {
  return new Set(
    users.flatMap(({ id, keys, publicKeys = [] }) => [id, ...[...keys, ...publicKeys].map((key) => key.id)]),
  );
}

/** Resolves when the signal fires. */
function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
