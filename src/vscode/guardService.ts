import { type Disposable, EventEmitter } from 'vscode';
import { GuardError } from '../guard/errors.ts';
import type { User } from '../guard/identity/users.ts';
import type { GuardState } from '../guard/state.ts';
import { GuardHost } from '../threads/guardHost.ts';
import type { Log } from './log.ts';
import type { SecretUsers } from './secretUsers.ts';
import { readGuardConfig } from './settings.ts';

/** Streams under way get this long when the guard stops, in milliseconds: a person is waiting for the window. */
const drainMs = 1_000;

/** One change of the users stores several secrets, and each is announced. */
const refreshDelayMs = 200;

/** The guard of this window: its state, its users, and what can be done with them. */
export class GuardService implements Disposable {
  readonly #users: SecretUsers;
  readonly #host: GuardHost;
  readonly #log: Log;
  readonly #changed = new EventEmitter<GuardState>();
  readonly #elsewhere: Disposable;
  #refreshing: NodeJS.Timeout | undefined;

  /** Fires with every new state. */
  readonly onDidChange = this.#changed.event;

  constructor(users: SecretUsers, log: Log) {
    this.#users = users;
    this.#log = log;
    this.#elsewhere = users.onDidChange(() => this.#refreshSoon());
    this.#host = new GuardHost({
      onState: (state) => this.#changed.fire(state),
      onEvents: (events, dropped) => log.events(events, dropped),
    });
  }

  get state(): GuardState {
    return this.#host.state;
  }

  /** Starts the guard by the settings; what stands in the way becomes the state `failed`. */
  async start(): Promise<void> {
    try {
      await this.#host.start(readGuardConfig(), await this.#users.read());
    } catch (error) {
      if (!GuardError.is(error)) throw error;
      this.#host.fail(error);
    }
  }

  async stop(): Promise<void> {
    await this.#host.stop(drainMs);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Stops what runs, starts what does not. */
  async toggle(): Promise<void> {
    if (this.state.status === 'running' || this.state.status === 'starting') await this.stop();
    else await this.start();
  }

  /** The users as they are stored. */
  users(): Promise<readonly User[]> {
    return this.#users.read();
  }

  /** Changes the users; a running guard goes by them from the next request on. */
  async updateUsers(change: (users: readonly User[]) => readonly User[]): Promise<void> {
    this.#host.setUsers(await this.#users.update(change));
  }

  /** @throws GuardError `password-invalid`. */
  hashPassword(password: string): Promise<string> {
    return this.#host.hashPassword(password);
  }

  /** Users that another window changed go for this one's guard too. */
  #refreshSoon(): void {
    clearTimeout(this.#refreshing);
    this.#refreshing = setTimeout(() => {
      this.#users.read().then(
        (users) => this.#host.setUsers(users),
        (error: unknown) => this.#log.error(`The users could not be read again: ${(error as Error).message}`),
      );
    }, refreshDelayMs);
  }

  /** Stops and ends the threads. */
  async shutDown(): Promise<void> {
    clearTimeout(this.#refreshing);
    this.#elsewhere.dispose();
    await this.#host.dispose();
    this.#changed.dispose();
  }

  dispose(): void {
    void this.shutDown().catch(() => undefined);
  }
}
