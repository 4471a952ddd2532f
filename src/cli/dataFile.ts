import { readFile } from 'node:fs/promises';
import { lock } from 'proper-lockfile';
import writeFileAtomic from 'write-file-atomic';
import * as z from 'zod/mini';
import { GuardError, systemErrorCode } from '../guard/errors.ts';
import { dataUnavailable } from './dataFolder.ts';
import { type Following, followFile } from './followFile.ts';

const version = 1;

/** A list in the data folder: versioned, checked when read, written whole or not at all, for its owner alone. */
export class DataFile<Entry> {
  readonly path: string;
  readonly #name: string;
  readonly #parse: (entries: unknown) => readonly Entry[];
  /** The text that was read last for whoever reads or watches; undefined while there is no file. */
  #seen: string | undefined;
  #isChanged = false;

  /**
   * @param path in an existing data folder.
   * @param name what is listed, such as `users`.
   * @param parse checks the list, and throws what is wrong with it.
   */
  constructor(path: string, name: string, parse: (entries: unknown) => readonly Entry[]) {
    this.path = path;
    this.#name = name;
    this.#parse = parse;
  }

  /** Whether it was changed through this object. */
  get isChanged(): boolean {
    return this.#isChanged;
  }

  /**
   * The entries; none when there is no file yet.
   *
   * @throws GuardError `data-damaged` or `data-unavailable`. The file is left as it is.
   */
  async read(): Promise<readonly Entry[]> {
    this.#seen = await this.#readText();
    return this.#entriesIn(this.#seen);
  }

  #readText(): Promise<string | undefined> {
    return readFile(this.path, 'utf8').catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw dataUnavailable(this.path, error);
    });
  }

  /**
   * Changes the entries while no other process does. What was there is read under the lock, so no change is lost.
   *
   * @returns the entries after it.
   * @throws GuardError what `change` throws, and what `read` throws; then nothing is written.
   */
  async update(change: (entries: readonly Entry[]) => readonly Entry[]): Promise<readonly Entry[]> {
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
      // Not `read`: when the change fails, whoever watches has not seen what is there.
      const entries = change(this.#entriesIn(await this.#readText()));
      if (lost !== undefined) throw dataUnavailable(this.path, lost);
      const text = `${JSON.stringify({ version, [this.#name]: entries }, undefined, 2)}\n`;
      await writeFileAtomic(this.path, text, { mode: 0o600 }).catch((error: unknown) => {
        throw dataUnavailable(this.path, error);
      });
      this.#isChanged = true;
      return entries;
    } finally {
      await release().catch(() => undefined);
    }
  }

  /** Tells of changes that any process makes, one after the other, within a second. */
  watch(onChange: (entries: readonly Entry[]) => void, onProblem: (error: unknown) => void): Following {
    const look = async () => {
      if ((await this.#readText()) !== this.#seen) onChange(await this.read());
    };
    return followFile(this.path, look, onProblem);
  }

  #entriesIn(text: string | undefined): readonly Entry[] {
    if (text === undefined) return [];
    try {
      const file = z.strictObject({ version: z.int(), [this.#name]: z.unknown() }).parse(JSON.parse(text));
      if (file.version !== version) {
        throw new GuardError('data-damaged', `it is of version ${file.version}, and this program knows ${version}`);
      }
      return this.#parse(file[this.#name]);
    } catch (error) {
      const reason = GuardError.is(error) ? error.message : `it is not the JSON of ${this.#name}`;
      throw new GuardError(
        'data-damaged',
        `${this.path} is damaged (${reason}). It was left as it is: mend it, or move it away to start anew.`,
        { cause: error },
      );
    }
  }
}
