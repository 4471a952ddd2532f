import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import writeFileAtomic from 'write-file-atomic';
import * as z from 'zod/mini';
import { systemErrorCode } from '../guard/errors.ts';
import { seenAfterMs } from './followFile.ts';

const endpoint = z.strictObject({
  /** As it listens, such as `http://0.0.0.0:11435`. */
  url: z.url(),
  pid: z.int(),
  /** Names its certificate is made out to, where those are not the computer's own. */
  names: z.array(z.string()),
  /** Whether those names are all that the certificate is good for. */
  namesAlone: z.boolean(),
  /** What clients have to trust; left out when nothing is encrypted, or every system knows the certificate. */
  trust: z.optional(z.strictObject({ pem: z.string(), sha256: z.string(), publicKeyPin: z.string() })),
});

/** What a running guard says of itself to other processes. */
export type EndpointRecord = Readonly<z.output<typeof endpoint>>;

/** Says where the guard of a data folder listens, for other commands. Information alone: no guard depends on it. */
export class EndpointFile {
  readonly #path: string;
  /** Writing and removing wait for one another here. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(folder: string) {
    this.#path = join(folder, 'endpoint.json');
  }

  write(record: Omit<EndpointRecord, 'pid'>): Promise<void> {
    return this.#inTurn(() => this.#write({ ...record, pid: process.pid }));
  }

  #write(record: EndpointRecord): Promise<void> {
    return writeFileAtomic(this.#path, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  }

  /**
   * Removes what this process wrote; another guard of the folder may have written since.
   *
   * @param before of a guard that was there before, and gets its place back when it still is.
   */
  remove(before: EndpointRecord | undefined): Promise<void> {
    return this.#inTurn(async () => {
      if ((await this.read())?.pid !== process.pid) return;
      if (before !== undefined && isRunning(before)) await this.#write(before);
      else await rm(this.#path, { force: true });
    });
  }

  /** What the guard said that runs or ran last; undefined when none is known. */
  async read(): Promise<EndpointRecord | undefined> {
    try {
      return endpoint.parse(JSON.parse(await readFile(this.#path, 'utf8')));
    } catch {
      return undefined;
    }
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.#last.then(step);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

/** Waits until a guard that runs knows of a change: whoever made it may be a script, and faster than the guard looks. */
export async function untilSeen(endpoint: EndpointRecord | undefined): Promise<void> {
  if (endpoint !== undefined && isRunning(endpoint)) await sleep(seenAfterMs);
}

/** Whether the guard that wrote a record is still there. */
export function isRunning({ pid }: EndpointRecord): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, and another user's.
    return systemErrorCode(error) === 'EPERM';
  }
}
