import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, link, mkdir, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { GuardError, systemErrorCode } from '../guard/errors.ts';
import { token } from './handshake.ts';

// Like the handshake, it keeps its form whatever the protocol is.
const ownerRecord = z.object({
  pid: z.int().check(z.positive()),
  port: z.int().check(z.minimum(1), z.maximum(65_535)),
  token,
});

/** Where the owner is, and the secret that whoever may read this folder shares with it. */
export type OwnerRecord = z.infer<typeof ownerRecord>;

/** The newest owner there was. */
export interface LatestOwner {
  /** 0 when there never was one. */
  readonly generation: number;
  /** Undefined when it has left, and when what is written is not what an owner writes. */
  readonly record: OwnerRecord | undefined;
}

const maxRecordBytes = 1024;

const recordName = /^window-(\d{1,15})\.json$/;
const temporaryName = /^window-[\da-f-]{36}\.tmp$/;

/**
 * Who owns the guard, as files: `window-1.json` is the first owner, `window-2.json` the one that took over from it, and
 * so on. A file appears whole and only where none was, so of all windows that find an owner gone exactly one comes
 * after it, and none ever holds up the others. The newest file stays when its owner leaves: a window that had looked
 * before must not come after an owner that is no longer the newest.
 */
export class OwnerRecords {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Makes sure of the folder, for this user alone.
   *
   * @throws GuardError `data-unavailable`.
   */
  static async open(folder: string): Promise<OwnerRecords> {
    return new OwnerRecords(folder).#try(async (records) => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await keepPrivate(folder);
      return records;
    });
  }

  /** @throws GuardError `data-unavailable`. */
  latest(): Promise<LatestOwner> {
    return this.#try(async () => {
      const generation = await this.#newest();
      return { generation, record: generation === 0 ? undefined : await readRecord(this.#path(generation)) };
    });
  }

  /**
   * Enters the owner that comes after `generation - 1`.
   *
   * @returns false when another window was first.
   * @throws GuardError `data-unavailable`.
   */
  claim(generation: number, record: OwnerRecord): Promise<boolean> {
    return this.#try(async () => {
      const temporary = join(this.#folder, `window-${randomUUID()}.tmp`);
      try {
        await writeFile(temporary, `${JSON.stringify(record)}\n`, { flag: 'wx', mode: 0o600 });
        const isFirst = await link(temporary, this.#path(generation)).then(() => true, lostRace);
        if (!isFirst) return false;
      } finally {
        await rm(temporary, { force: true });
      }
      // Old files are swept away, so a window that looked long ago finds its place free. It sees the newest one now.
      if ((await this.#newest()) > generation) {
        await rm(this.#path(generation), { force: true });
        return false;
      }
      await this.#sweep(generation).catch(() => undefined);
      return true;
    });
  }

  /** Says that the owner of this generation has left, and forgets its secret. */
  async leave(generation: number): Promise<void> {
    // Without it the next window finds the port closed; with it, nobody is looked for at a port that may be another's.
    await truncate(this.#path(generation)).catch(() => undefined);
  }

  /** Removes what came before, and what windows left that were killed while they wrote. */
  async #sweep(generation: number): Promise<void> {
    const old = (await readdir(this.#folder)).filter(
      (name) => temporaryName.test(name) || (generationOf(name) ?? generation) < generation,
    );
    await Promise.all(old.map((name) => rm(join(this.#folder, name), { force: true })));
  }

  async #newest(): Promise<number> {
    return Math.max(0, ...(await readdir(this.#folder)).map((name) => generationOf(name) ?? 0));
  }

  #path(generation: number): string {
    return join(this.#folder, `window-${generation}.json`);
  }

  async #try<T>(step: (records: this) => Promise<T>): Promise<T> {
    try {
      return await step(this);
    } catch (error) {
      if (GuardError.is(error)) throw error;
      const args = { folder: this.#folder, code: systemErrorCode(error) ?? String(error) };
      throw new GuardError('data-unavailable', 'The folder {folder} cannot be used ({code}).', { args, cause: error });
    }
  }
}

function generationOf(name: string): number | undefined {
  const digits = recordName.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Whether a link failed because of another window: it was first, or it swept the temporary file away. */
function lostRace(error: unknown): false {
  const code = systemErrorCode(error);
  if (code === 'EEXIST' || code === 'ENOENT') return false;
  throw error;
}

/** Closes a folder to others. Whoever writes into it could have all windows follow a false owner. */
async function keepPrivate(folder: string): Promise<void> {
  const uid = process.getuid?.();
  if (uid === undefined) return;
  const isOpen = async () => ((await stat(folder)).mode & 0o077) !== 0;
  if (await isOpen()) await chmod(folder, 0o700);
  if ((await stat(folder)).uid === uid && !(await isOpen())) return;
  throw new GuardError('data-unavailable', 'The folder {folder} cannot be kept from other users of this computer.', {
    args: { folder },
  });
}

/** What an owner wrote; undefined when it is anything else, or written by another user. */
async function readRecord(path: string): Promise<OwnerRecord | undefined> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch((error: unknown) => {
    // The window after it has swept it away; or it is a link, which no owner makes.
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ELOOP') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const { uid } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxRecordBytes));
    const parsed = ownerRecord.safeParse(JSON.parse(buffer.toString('utf8', 0, bytesRead)));
    return parsed.success && uid === (process.getuid?.() ?? uid) ? parsed.data : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  } finally {
    await file.close();
  }
}
