import { readFile } from 'node:fs/promises';
import writeFileAtomic from 'write-file-atomic';
import type { Joined } from '../../src/connector/joined.ts';
import { systemErrorCode } from '../../src/guard/errors.ts';
import type { JoinedStore } from '../../src/windows/joinedKeeper.ts';

/** Joined endpoints in a file that several processes share, as VS Code's SecretStorage is shared by windows. */
export class JsonJoined implements JoinedStore {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<readonly Joined[]> {
    try {
      return JSON.parse(await readFile(this.#path, 'utf8'));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return [];
      throw error;
    }
  }

  async write(_before: readonly Joined[], after: readonly Joined[]): Promise<void> {
    await writeFileAtomic(this.#path, JSON.stringify(after));
  }
}
