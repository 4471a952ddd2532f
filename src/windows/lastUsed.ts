import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import writeFileAtomic from 'write-file-atomic';
import * as z from 'zod/mini';

const times = z.record(z.string(), z.number());

/** Written this long after a change, in milliseconds: a person looks at days, and a crash may cost these seconds. */
const writeDelayMs = 5_000;

/** When users and API keys were last let in, by id, in a file that survives the windows. Not vital: fails quietly. */
export class LastUsed {
  readonly #path: string;
  #times: Record<string, number> = {};
  #timer: NodeJS.Timeout | undefined;

  constructor(folder: string) {
    this.#path = join(folder, 'last-used.json');
  }

  get times(): Readonly<Record<string, number>> {
    return this.#times;
  }

  /** Reads what an earlier window wrote, and keeps the later of both. */
  async load(known: Readonly<Record<string, number>>): Promise<void> {
    const stored = await readFile(this.#path, 'utf8')
      .then(
        (text) => times.parse(JSON.parse(text)),
        () => ({}),
      )
      .catch(() => ({}));
    this.#times = latest(stored, latest(known, this.#times));
    // What only the windows know would go with the last of them.
    if (!isDeepStrictEqual(this.#times, stored)) this.#writeLater();
  }

  /** Takes note of uses. */
  note(used: Readonly<Record<string, number>>): void {
    this.#times = latest(this.#times, used);
    this.#writeLater();
  }

  /** Forgets everybody who is not in `ids`. */
  prune(ids: ReadonlySet<string>): void {
    const left = Object.entries(this.#times).filter(([id]) => ids.has(id));
    if (left.length === Object.keys(this.#times).length) return;
    this.#times = Object.fromEntries(left);
    this.#writeLater();
  }

  /** Writes what is not written yet. */
  async flush(): Promise<void> {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await writeFileAtomic(this.#path, JSON.stringify(this.#times), { mode: 0o600 }).catch(() => undefined);
  }

  #writeLater(): void {
    this.#timer ??= setTimeout(() => void this.flush(), writeDelayMs).unref();
  }
}

function latest(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const merged = { ...a };
  for (const [id, at] of Object.entries(b)) merged[id] = Math.max(at, merged[id] ?? 0);
  return merged;
}
