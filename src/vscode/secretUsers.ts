import type { Disposable, SecretStorage } from 'vscode';
import * as z from 'zod/mini';
import { GuardError } from '../guard/errors.ts';
import { parseUsers, type User } from '../guard/identity/users.ts';

const version = 1;
const indexKey = 'ollamaGuard.users';
const userKey = (id: string): string => `ollamaGuard.user.${id}`;

const index = z.strictObject({ version: z.literal(version), ids: z.array(z.string()) });

/**
 * The users in VS Code's SecretStorage: verifiers alone, one secret a user (keyrings bound the size of one) and an
 * index of them. What cannot be understood is an error and is never written over.
 */
export class SecretUsers {
  readonly #secrets: SecretStorage;
  /** Changes wait for one another here, because SecretStorage has no compare-and-swap. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(secrets: SecretStorage) {
    this.#secrets = secrets;
  }

  /** Calls back when another window may have changed the users. A hint: it may come late, twice or without a change. */
  onDidChange(listener: () => void): Disposable {
    return this.#secrets.onDidChange(({ key }) => {
      if (key === indexKey || key.startsWith(userKey(''))) listener();
    });
  }

  /** @throws GuardError `data-damaged` or `data-unavailable`. */
  async read(): Promise<readonly User[]> {
    const stored = await this.#get(indexKey);
    if (stored === undefined) return [];
    try {
      const { ids } = index.parse(JSON.parse(stored));
      const records = await Promise.all(ids.map((id) => this.#get(userKey(id))));
      return parseUsers(records.map((record) => JSON.parse(record ?? 'null')));
    } catch (error) {
      if (GuardError.is(error, 'data-unavailable')) throw error;
      throw new GuardError(
        'data-damaged',
        'The stored users are damaged. They were left as they are; nobody is let in.',
        {
          cause: error,
        },
      );
    }
  }

  /**
   * Changes the users, one change after the other.
   *
   * @returns the users after the change.
   * @throws GuardError what `change` throws, and what `read` throws; then nothing is written.
   */
  update(change: (users: readonly User[]) => readonly User[]): Promise<readonly User[]> {
    const done = this.#last.then(async () => {
      const before = await this.read();
      const after = change(before);
      await this.#write(before, after);
      return after;
    });
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Records before the index, and removals after it, so that the index never names a record that is not there. */
  async #write(before: readonly User[], after: readonly User[]): Promise<void> {
    const kept = new Set(after.map((user) => user.id));
    try {
      for (const user of after) {
        if (!before.includes(user)) await this.#secrets.store(userKey(user.id), JSON.stringify(user));
      }
      await this.#secrets.store(indexKey, JSON.stringify({ version, ids: [...kept] }));
    } catch (error) {
      throw unavailable(error);
    }
    // The index does not name them any more, so a record that stays behind lets nobody in.
    const removed = before.filter(({ id }) => !kept.has(id));
    await Promise.allSettled(removed.map(({ id }) => this.#secrets.delete(userKey(id))));
  }

  async #get(key: string): Promise<string | undefined> {
    try {
      return await this.#secrets.get(key);
    } catch (error) {
      throw unavailable(error);
    }
  }
}

function unavailable(cause: unknown): GuardError {
  return new GuardError('data-unavailable', "VS Code's secret storage cannot be used, so users cannot be kept.", {
    cause,
  });
}
