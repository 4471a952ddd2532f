import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import * as z from 'zod/mini';

const endpoint = z.strictObject({ url: z.url(), pid: z.int() });

/** Says where the guard of a data folder listens, for `ollama-guard curl`. Information alone: nothing depends on it. */
export class EndpointFile {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, 'endpoint.json');
  }

  async write(url: string): Promise<void> {
    await writeFileAtomic(this.#path, `${JSON.stringify({ url, pid: process.pid })}\n`, { mode: 0o600 });
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  /** The endpoint of the guard that runs or ran last; undefined when none is known. */
  async read(): Promise<string | undefined> {
    try {
      return endpoint.parse(JSON.parse(await readFile(this.#path, 'utf8'))).url;
    } catch {
      return undefined;
    }
  }
}
