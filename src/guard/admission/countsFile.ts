import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import * as z from 'zod/mini';
import { MiB } from '../config.ts';
import { systemErrorCode } from '../errors.ts';
import type { KeptCount } from './counters.ts';

const name = 'used-today.json';

/** More than the counts of 10,000 users and keys take. */
const maxBytes = 4 * MiB;

/** Written this long after a change, in milliseconds: a crash may cost what was counted in these seconds. */
const writeDelayMs = 5_000;

const file = z.strictObject({
  version: z.literal(1),
  counts: z.array(
    z.strictObject({
      limit: z.literal('tokensPerDay'),
      key: z.string(),
      used: z.int().check(z.nonnegative()),
      endsAt: z.int().check(z.nonnegative()),
    }),
  ),
});

/** What a file of counts works with. */
export interface CountsFilePorts {
  readonly folder: string;
  readonly counts: () => readonly KeptCount[];
  /** Gets a sentence about what stands in the way of reading or writing; of writing once until it works again. */
  readonly onProblem: (message: string) => void;
}

/**
 * What of a day's tokens was used, in a file that outlives the guard: a restart must not be a new allowance. It holds ids
 * and numbers. It is not vital: without it the day begins anew, and that is said.
 */
export class CountsFile {
  readonly #ports: CountsFilePorts;
  readonly #path: string;
  #timer: NodeJS.Timeout | undefined;
  /** Writes wait for one another here. */
  #last: Promise<void> = Promise.resolve();
  /** Whether something was counted that is not written. */
  #isBehind = false;
  #isFailing = false;

  constructor(ports: CountsFilePorts) {
    this.#ports = ports;
    this.#path = join(ports.folder, name);
  }

  /** What an earlier guard counted. */
  async read(): Promise<readonly KeptCount[]> {
    try {
      return (await this.#isThere()) ? countsIn(await readFile(this.#path, 'utf8')) : [];
    } catch (error) {
      this.#ports.onProblem(`${this.#path} cannot be read (${reasonOf(error)}): limits of a day begin anew`);
      return [];
    }
  }

  /** The counts have changed, and are written in a while. */
  writeLater(): void {
    this.#isBehind = true;
    this.#timer ??= setTimeout(() => void this.flush(), writeDelayMs).unref();
  }

  /** Writes what is not written yet; resolves when nothing is being written any more. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#last = this.#last.then(() => (this.#isBehind ? this.#write() : undefined));
    return this.#last;
  }

  async #write(): Promise<void> {
    const text = JSON.stringify({ version: 1, counts: this.#ports.counts() });
    this.#isBehind = false;
    try {
      await this.#isThere();
      await writeFileAtomic(this.#path, text, { mode: 0o600 });
      this.#isFailing = false;
    } catch (error) {
      this.#isBehind = true;
      if (this.#isFailing) return;
      this.#isFailing = true;
      this.#ports.onProblem(
        `${this.#path} cannot be written (${reasonOf(error)}): after a restart limits of a day begin anew`,
      );
    }
  }

  /**
   * Whether there is such a file. What is no file is left alone: a device that a link leads to would be read without end,
   * and be replaced by whoever writes as root.
   *
   * @throws Error when it is something else, too large, or out of reach.
   */
  async #isThere(): Promise<boolean> {
    const found = await stat(this.#path).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (found === undefined) return false;
    if (!found.isFile()) throw new Error('it is no file');
    if (found.size > maxBytes) throw new Error('it is too large');
    return true;
  }
}

const reasonOf = (error: unknown): string => systemErrorCode(error) ?? (error as Error).message;

/** @throws Error when it holds something else. */
function countsIn(text: string): readonly KeptCount[] {
  try {
    return file.parse(JSON.parse(text)).counts;
  } catch (cause) {
    throw new Error('it is damaged', { cause });
  }
}
