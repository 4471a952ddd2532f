import { readFile } from 'node:fs/promises';
import writeFileAtomic from 'write-file-atomic';
import { GuardError, systemErrorCode } from '../../src/guard/errors.ts';
import type { StoredUsers, UserStore } from '../../src/windows/usersKeeper.ts';

/** Users in a file that several processes share, as VS Code's SecretStorage is shared by windows. */
export class JsonUsers implements UserStore {
  readonly #path: string;
  fails = false;
  /** Like secrets of an extension host whose window has gone. */
  neverAnswers = false;

  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<StoredUsers> {
    await this.#demand();
    try {
      return JSON.parse(await readFile(this.#path, 'utf8'));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return { users: [], revision: 0 };
      throw error;
    }
  }

  async write(_before: StoredUsers, { users, revision }: StoredUsers): Promise<void> {
    await this.#demand();
    await writeFileAtomic(this.#path, JSON.stringify({ users, revision }));
  }

  async #demand(): Promise<void> {
    if (this.neverAnswers) await new Promise(() => undefined);
    if (this.fails) throw new GuardError('data-unavailable', 'The store fails.');
  }
}
