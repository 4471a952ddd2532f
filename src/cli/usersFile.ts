import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lock } from 'proper-lockfile';
import writeFileAtomic from 'write-file-atomic';
import * as z from 'zod/mini';
import { GuardError, systemErrorCode } from '../guard/errors.ts';
import { parseUsers, type User } from '../guard/identity/users.ts';
import { dataUnavailable } from './dataFolder.ts';

const version = 1;
const envelope = z.strictObject({ version: z.int(), users: z.unknown() });

/** How often a running guard looks for users that another process changed, in milliseconds. */
const pollMs = 500;

/** `users.json` in the data folder: versioned, checked when read, written whole or not at all. */
export class UsersFile {
  readonly path: string;
  /** The text that was read last; undefined while there is no file. */
  #seen: string | undefined;

  /** @param folder an existing data folder. */
  constructor(folder: string) {
    this.path = join(folder, 'users.json');
  }

  /**
   * The users; none when there is no file yet.
   *
   * @throws GuardError `data-damaged` or `data-unavailable`. The file is left as it is.
   */
  async read(): Promise<readonly User[]> {
    this.#seen = await this.#readText();
    return this.#seen === undefined ? [] : this.#parse(this.#seen);
  }

  #readText(): Promise<string | undefined> {
    return readFile(this.path, 'utf8').catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw dataUnavailable(this.path, error);
    });
  }

  /**
   * Changes the users while no other process does. What was there is read under the lock, so no change is lost.
   *
   * @returns the users after it.
   * @throws GuardError what `change` throws, and what `read` throws; then nothing is written.
   */
  async update(change: (users: readonly User[]) => readonly User[]): Promise<readonly User[]> {
    let lost: Error | undefined;
    const release = await lock(this.path, {
      realpath: false,
      onCompromised: (error) => {
        lost = error;
      },
      retries: { retries: 20, minTimeout: 20, maxTimeout: 250 },
    }).catch((error: unknown) => {
      throw dataUnavailable(this.path, error);
    });
    try {
      const users = change(await this.read());
      if (lost !== undefined) throw dataUnavailable(this.path, lost);
      const text = `${JSON.stringify({ version, users }, undefined, 2)}\n`;
      await writeFileAtomic(this.path, text, { mode: 0o600 }).catch((error: unknown) => {
        throw dataUnavailable(this.path, error);
      });
      return users;
    } finally {
      await release().catch(() => undefined);
    }
  }

  /**
   * Tells of changes that any process makes, within a second.
   *
   * @returns ends the watch.
   */
  watch(onChange: (users: readonly User[]) => void, onProblem: (error: unknown) => void): () => void {
    const look = async () => {
      if ((await this.#readText()) !== this.#seen) onChange(await this.read());
    };
    const changed = () => void look().catch(onProblem);
    watchFile(this.path, { interval: pollMs }, changed);
    // What changed between the last read and now would go unseen.
    changed();
    return () => unwatchFile(this.path, changed);
  }

  #parse(text: string): readonly User[] {
    try {
      const file = envelope.parse(JSON.parse(text));
      if (file.version !== version) {
        throw new GuardError('data-damaged', `it is of version ${file.version}, and this program knows ${version}`);
      }
      return parseUsers(file.users);
    } catch (error) {
      const reason = GuardError.is(error) ? error.message : 'it is not the JSON of users';
      throw new GuardError(
        'data-damaged',
        `${this.path} is damaged (${reason}). It was left as it is: mend it, or move it away to start anew.`,
        { cause: error },
      );
    }
  }
}
