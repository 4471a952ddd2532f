import type { SecretStorage } from 'vscode';
import * as z from 'zod/mini';
import { type Joined, joinedList } from '../connector/joined.ts';
import { GuardError } from '../guard/errors.ts';
import type { JoinedStore } from '../windows/joinedKeeper.ts';

const version = 1;
const indexKey = 'ollamaGuard.joined';
const joinedKey = (id: string): string => `ollamaGuard.joined.${id}`;

const index = z.strictObject({ version: z.literal(version), ids: z.array(z.string()) });

/**
 * Joined endpoints in VS Code's SecretStorage, API keys included: one secret an endpoint (keyrings bound the size of
 * one) and an index of them. What cannot be understood is an error and is never written over.
 */
export class SecretJoined implements JoinedStore {
  readonly #secrets: SecretStorage;

  constructor(secrets: SecretStorage) {
    this.#secrets = secrets;
  }

  async read(): Promise<readonly Joined[]> {
    const stored = await this.#try((secrets) => secrets.get(indexKey));
    if (stored === undefined) return [];
    try {
      const { ids } = index.parse(JSON.parse(stored));
      const records = await Promise.all(ids.map((id) => this.#try((secrets) => secrets.get(joinedKey(id)))));
      return joinedList.parse(records.map((record) => JSON.parse(record ?? 'null')));
    } catch (error) {
      if (GuardError.is(error, 'data-unavailable')) throw error;
      throw new GuardError('data-damaged', 'The stored joined endpoints are damaged. They were left as they are.', {
        cause: error,
      });
    }
  }

  /** Records before the index, and removals after it, so that the index never names a record that is not there. */
  async write(before: readonly Joined[], after: readonly Joined[]): Promise<void> {
    const kept = new Set(after.map(({ id }) => id));
    const known = new Map(before.map((joined) => [joined.id, JSON.stringify(joined)]));
    for (const joined of after) {
      const record = JSON.stringify(joined);
      if (record !== known.get(joined.id)) await this.#try((secrets) => secrets.store(joinedKey(joined.id), record));
    }
    await this.#try((secrets) => secrets.store(indexKey, JSON.stringify({ version, ids: [...kept] })));
    // Nobody reads what the index does not name, but it holds a key: what is left behind is told.
    const removed = before.filter(({ id }) => !kept.has(id));
    await Promise.all(removed.map(({ id }) => this.#try((secrets) => secrets.delete(joinedKey(id)))));
  }

  async #try<T>(step: (secrets: SecretStorage) => Thenable<T>): Promise<T> {
    try {
      return await step(this.#secrets);
    } catch (cause) {
      throw new GuardError(
        'data-unavailable',
        "VS Code's secret storage cannot be used, so joined endpoints cannot be kept.",
        { cause },
      );
    }
  }
}
