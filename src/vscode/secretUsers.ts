import type { Disposable, SecretStorage } from 'vscode';
import * as z from 'zod/mini';
import { GuardError } from '../guard/errors.ts';
import { parseUsers } from '../guard/identity/users.ts';
import type { StoredUsers, UserStore } from '../windows/usersKeeper.ts';

const version = 1;
const indexKey = 'ollamaGuard.users';
const userKey = (id: string): string => `ollamaGuard.user.${id}`;

const index = z.strictObject({
  version: z.literal(version),
  ids: z.array(z.string()),
  /** Missing in what the first release wrote. */
  revision: z._default(z.int().check(z.positive()), 1),
});

/**
 * The users in VS Code's SecretStorage: verifiers alone, one secret a user (keyrings bound the size of one) and an
 * index of them. What cannot be understood is an error and is never written over.
 */
export class SecretUsers implements UserStore {
  readonly #secrets: SecretStorage;

  constructor(secrets: SecretStorage) {
    this.#secrets = secrets;
  }

  /** Calls back when somebody may have changed the users. A hint: it may come late, twice or without a change. */
  onDidChange(listener: () => void): Disposable {
    return this.#secrets.onDidChange(({ key }) => {
      if (key === indexKey || key.startsWith(userKey(''))) listener();
    });
  }

  async read(): Promise<StoredUsers> {
    const stored = await this.#get(indexKey);
    if (stored === undefined) return { users: [], revision: 0 };
    try {
      const { ids, revision } = index.parse(JSON.parse(stored));
      const records = await Promise.all(ids.map((id) => this.#get(userKey(id))));
      return { users: parseUsers(records.map((record) => JSON.parse(record ?? 'null'))), revision };
    } catch (error) {
      if (GuardError.is(error, 'data-unavailable')) throw error;
      // A window that could not meet this one may have removed a record after this one had read the index.
      if ((await this.#get(indexKey)) !== stored) return this.read();
      throw new GuardError(
        'data-damaged',
        'The stored users are damaged. They were left as they are; nobody is let in.',
        { cause: error },
      );
    }
  }

  /** Records before the index, and removals after it, so that the index never names a record that is not there. */
  async write(before: StoredUsers, { users, revision }: StoredUsers): Promise<void> {
    const kept = new Set(users.map((user) => user.id));
    const known = new Map(before.users.map((user) => [user.id, JSON.stringify(user)]));
    try {
      for (const user of users) {
        const record = JSON.stringify(user);
        if (record !== known.get(user.id)) await this.#secrets.store(userKey(user.id), record);
      }
      await this.#secrets.store(indexKey, JSON.stringify({ version, ids: [...kept], revision }));
    } catch (error) {
      throw unavailable(error);
    }
    // The index does not name them any more, so a record that stays behind lets nobody in.
    const removed = before.users.filter(({ id }) => !kept.has(id));
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
