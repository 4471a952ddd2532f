import { isDeepStrictEqual } from 'node:util';
import { GuardError } from '../guard/errors.ts';
import { applyEdit, type UserEdit } from '../guard/identity/userEdit.ts';
import { parseUsers, type User } from '../guard/identity/users.ts';

/** Users and how often they were changed. */
export interface StoredUsers {
  readonly users: readonly User[];
  readonly revision: number;
}

/** Where users are kept. */
export interface UserStore {
  /** @throws GuardError `data-unavailable` when it cannot be asked, `data-damaged` when it holds what is not understood. */
  read(): Promise<StoredUsers>;
  /** @throws GuardError `data-unavailable`. */
  write(before: StoredUsers, after: StoredUsers): Promise<void>;
}

/** What a keeper tells of. */
export interface KeptUsers extends StoredUsers {
  readonly storage: 'kept' | 'memory';
}

/**
 * The users in the one window that may change them. While the store fails it goes by what is in memory; what was edited
 * meanwhile is edited again on what the store turns out to hold, so that neither loses the other.
 */
export class UsersKeeper {
  readonly #store: UserStore;
  readonly #onChange: (kept: KeptUsers) => void;
  #kept: KeptUsers;
  /** What the users in memory were before the pending edits. */
  #base: StoredUsers;
  /** Edits that the store has not got, oldest first. */
  #pending: readonly UserEdit[] = [];
  /** Edits wait for one another here. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param known what this window heard from the one that kept the users before it; revision 0 when from nobody. */
  constructor(store: UserStore, { users, revision }: StoredUsers, onChange: (kept: KeptUsers) => void) {
    this.#store = store;
    this.#base = { users, revision };
    this.#kept = { users, revision, storage: 'kept' };
    this.#onChange = onChange;
  }

  get kept(): KeptUsers {
    return this.#kept;
  }

  /**
   * Brings memory and store together. Called at the beginning, and whenever somebody else may have written.
   *
   * @throws GuardError `data-damaged`: what is stored is left alone, and memory stays as it was.
   */
  load(): Promise<void> {
    return this.#inTurn(() => this.#sync(this.#kept, this.#pending));
  }

  /**
   * Makes an edit.
   *
   * @throws GuardError what the edit throws, and `data-damaged`; then nothing has changed.
   */
  edit(edit: UserEdit): Promise<void> {
    return this.#inTurn(() => {
      // The record may come from another window; what could not be read back must not be written.
      const users = parseUsers(applyEdit(this.#kept.users, edit));
      return this.#sync({ users, revision: this.#kept.revision + 1 }, [...this.#pending, ...partsOf(edit)]);
    });
  }

  /** Resolves when the edits that were asked for so far are through. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #sync(memory: StoredUsers, pending: readonly UserEdit[]): Promise<void> {
    const stored = await this.#read();
    if (stored === undefined) {
      this.#set(memory, pending, 'memory');
      return;
    }
    if (pending.length === 0 && stored.revision >= memory.revision) {
      this.#base = stored;
      // Stores announce one's own writes too.
      if (isDeepStrictEqual({ ...stored, storage: 'kept' }, this.#kept)) return;
      this.#set(stored, [], 'kept');
      return;
    }
    const merged = stored.revision > this.#base.revision ? again(pending, stored) : memory;
    if (stored.revision > this.#base.revision) this.#base = stored;
    try {
      await this.#store.write(stored, merged);
      this.#base = merged;
      this.#set(merged, [], 'kept');
    } catch (error) {
      if (!GuardError.is(error, 'data-unavailable')) throw error;
      this.#set(merged, pending, 'memory');
    }
  }

  async #read(): Promise<StoredUsers | undefined> {
    try {
      return await this.#store.read();
    } catch (error) {
      if (GuardError.is(error, 'data-unavailable')) return undefined;
      throw error;
    }
  }

  #set({ users, revision }: StoredUsers, pending: readonly UserEdit[], storage: KeptUsers['storage']): void {
    this.#pending = pending;
    this.#kept = { users, revision, storage };
    this.#onChange(this.#kept);
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.#last.then(step);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

/** Each is made again by itself, should the store have changed meanwhile. */
const partsOf = (edit: UserEdit): readonly UserEdit[] => (edit.kind === 'several' ? edit.edits : [edit]);

/** Whether an edit added a key that is there: a write that was reported as failed may have been made all the same. */
function isThere(users: readonly User[], edit: UserEdit): boolean {
  return edit.kind === 'add-key' && users.some(({ keys }) => keys.some(({ id }) => id === edit.key.id));
}

/** Makes edits again on other users. One that does not fit any more, such as a removal of who is gone, is left out. */
function again(edits: readonly UserEdit[], { users, revision }: StoredUsers): StoredUsers {
  let edited = users;
  for (const edit of edits) {
    if (isThere(edited, edit)) continue;
    try {
      edited = applyEdit(edited, edit);
    } catch (error) {
      if (!GuardError.is(error)) throw error;
    }
  }
  return { users: edited, revision: revision + edits.length };
}
