import { setTimeout as sleep } from 'node:timers/promises';
import { commands, type Disposable, EventEmitter } from 'vscode';
import type { JoinedEndpoint } from '../connector/joined.ts';
import { GuardError } from '../guard/errors.ts';
import type { UserEdit } from '../guard/identity/userEdit.ts';
import type { User } from '../guard/identity/users.ts';
import type { PolicyDocument } from '../guard/policy/policyDocument.ts';
import type { SharePlan } from '../guard/share/sharing.ts';
import type { Endpoint, GuardState } from '../guard/state.ts';
import type { Vault } from '../guard/tls/vault.ts';
import type { Activity } from '../guard/usage/activity.ts';
import type { GuardEvent } from '../guard/usage/events.ts';
import { Group } from '../windows/group.ts';
import type { JoinedStore } from '../windows/joinedKeeper.ts';
import type { Snapshot } from '../windows/messages.ts';
import { contextKeys } from './ids.ts';
import type { Log } from './log.ts';
import type { SecretUsers } from './secretUsers.ts';
import { readGuardConfig, readPolicy } from './settings.ts';
import { errorWords } from './words.ts';

/** One change of the users stores several secrets, and each is announced. */
const refreshDelayMs = 200;

/** A window that is there answers at once; one whose computer is busy is given this long, in milliseconds. */
const windowAnswersMs = 5_000;

/** Whether VS Code still has a window for this extension host: one that is there takes a context key. */
async function hasWindow(): Promise<boolean> {
  const answered = commands.executeCommand('setContext', contextKeys.window, true).then(() => true);
  return await Promise.race([answered, sleep(windowAnswersMs, false, { ref: false })]);
}

/** Where what is to be kept is kept. */
export interface GuardStores {
  readonly users: SecretUsers;
  /** Private keys. */
  readonly vault: Vault;
  /** Endpoints of others that were joined. */
  readonly joined: JoinedStore;
}

/** Nothing goes on. */
const quiet: Activity = { active: [], done: [], connected: [] };

/** The guard as every window sees it, whichever of them runs it. */
export class GuardService implements Disposable {
  readonly #group: Group;
  readonly #changed = new EventEmitter<Partial<Snapshot>>();
  readonly #activityChanged = new EventEmitter<Activity>();
  readonly #events = new EventEmitter<GuardEvent>();
  readonly #failed = new EventEmitter<GuardState & { status: 'failed' }>();
  readonly #elsewhere: Disposable;
  #activity: Activity = quiet;
  #refreshing: NodeJS.Timeout | undefined;

  /** Fires with what is new of the snapshot. */
  readonly onDidChange = this.#changed.event;
  /** Fires while it is watched, four times a second at most. */
  readonly onDidChangeActivity = this.#activityChanged.event;

  /** Fires with what the guard reports, in the window that runs it. */
  readonly onEvent = this.#events.event;

  /** Fires when a start that was asked for here failed, and when a guard that ran here broke. */
  readonly onDidFail = this.#failed.event;

  /** @param folder one that all windows have in common. */
  constructor(folder: string, { users, vault, joined }: GuardStores, log: Log) {
    this.#group = new Group({
      folder,
      store: users,
      vault,
      joined,
      hasWindow,
      listener: {
        onChange: (change) => {
          if (change.state !== undefined && this.endpoint === undefined) this.#setActivity(quiet);
          this.#changed.fire(change);
          // Nobody asked for this one, so nobody waits for its outcome.
          if (change.state?.status === 'failed' && change.state.code === 'thread-died' && this.#group.isOwner) {
            this.#failed.fire(change.state);
          }
        },
        onActivity: (activity) => this.#setActivity(activity),
        onEvents: (events, dropped) => {
          log.events(events, dropped);
          for (const event of events) this.#events.fire(event);
        },
        onProblem: (error) => log.error(errorWords(error) ?? String(error)),
      },
    });
    this.#elsewhere = users.onDidChange(() => {
      clearTimeout(this.#refreshing);
      this.#refreshing = setTimeout(() => void this.#group.refreshUsers(), refreshDelayMs);
    });
  }

  get state(): GuardState {
    return this.#group.state;
  }

  /** The endpoint, when one answers, in this window or another. */
  get endpoint(): Endpoint | undefined {
    const { state } = this;
    return state.status === 'running' || state.status === 'following' ? state : undefined;
  }

  /** Whether it is this window that runs the guard. */
  get isHere(): boolean {
    return this.#group.isOwner;
  }

  /**
   * The policy that the guard goes by; of the settings while none runs.
   *
   * @throws GuardError `policy-invalid`.
   */
  get policy(): PolicyDocument {
    return this.#group.snapshot.wanted?.config.policy ?? readPolicy();
  }

  /** Verifiers, as the owning window has them. */
  get users(): readonly User[] {
    return this.#group.snapshot.users;
  }

  /** Whether users outlive the windows. */
  get storage(): Snapshot['storage'] {
    return this.#group.snapshot.storage;
  }

  /** Endpoints of others that this computer is connected to. */
  get joined(): readonly JoinedEndpoint[] {
    return this.#group.snapshot.joined;
  }

  /** When a user, an API key or a public key was last let in, by id. */
  get lastUsed(): Snapshot['lastUsed'] {
    return this.#group.snapshot.lastUsed;
  }

  /** What went on when it was last watched. */
  get activity(): Activity {
    return this.#activity;
  }

  /** Starts the guard by the settings; what stands in the way becomes the state `failed`. */
  async start(): Promise<void> {
    await this.#bySettings((config) => this.#group.start(config));
  }

  async stop(): Promise<void> {
    await this.#group.stop();
  }

  async restart(): Promise<void> {
    await this.#bySettings((config) => this.#group.restart(config));
  }

  /** Stops what runs, starts what does not. */
  async toggle(): Promise<void> {
    if (this.endpoint !== undefined || this.state.status === 'starting') await this.stop();
    else await this.start();
  }

  /** @throws GuardError what the edit throws; a running guard goes by it from the next request on. */
  async edit(edit: UserEdit): Promise<void> {
    await this.#group.edit(edit);
  }

  /** @throws GuardError `policy-invalid`; a running guard goes by the policy of the settings from the next request on. */
  async applyPolicy(): Promise<void> {
    await this.#group.setPolicy(readPolicy());
  }

  /** @throws GuardError what stands in the way. */
  async share(plan: SharePlan): Promise<void> {
    await this.#bySettings((config) => this.#group.share(config, plan));
  }

  async pauseSharing(paused: boolean): Promise<void> {
    await this.#group.pauseSharing(paused);
  }

  async endSharing(): Promise<void> {
    await this.#group.endSharing();
  }

  async stopRequest(id: number): Promise<void> {
    await this.#group.stopRequest(id);
  }

  /**
   * Joins the endpoint that an invite is for.
   *
   * @throws GuardError why it is not joined; the reason of `signal`.
   */
  async join(link: string, signal: AbortSignal): Promise<void> {
    await this.#group.join(link, signal);
  }

  /** @throws GuardError `joined-unknown`, `data-unavailable`, `data-damaged`. */
  async leave(id: string): Promise<void> {
    await this.#group.leave(id);
  }

  /** Whether `onDidChangeActivity` is to fire. Costs nothing while no window watches. */
  watchActivity(on: boolean): void {
    this.#group.watchActivity(on);
  }

  /** @throws GuardError `password-invalid`. */
  hashPassword(password: string): Promise<string> {
    return this.#group.hashPassword(password);
  }

  /** Leaves the other windows to themselves; a guard that runs here goes on in one of them. */
  async shutDown(): Promise<void> {
    clearTimeout(this.#refreshing);
    this.#elsewhere.dispose();
    await this.#group.close();
    this.#changed.dispose();
    this.#events.dispose();
    this.#failed.dispose();
    this.#activityChanged.dispose();
  }

  dispose(): void {
    void this.shutDown().catch(() => undefined);
  }

  /** Settings that are not valid are a failure to start. */
  async #bySettings(step: (config: ReturnType<typeof readGuardConfig>) => Promise<void>): Promise<void> {
    let config: ReturnType<typeof readGuardConfig>;
    try {
      config = readGuardConfig();
    } catch (error) {
      if (!GuardError.is(error)) throw error;
      this.#group.fail(error);
      this.#tellFailure();
      return;
    }
    await step(config);
    this.#tellFailure();
  }

  #tellFailure(): void {
    const { state } = this;
    if (state.status === 'failed') this.#failed.fire(state);
  }

  #setActivity(activity: Activity): void {
    this.#activity = activity;
    this.#activityChanged.fire(activity);
  }
}
