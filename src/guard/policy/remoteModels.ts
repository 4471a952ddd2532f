import { type ListedModel, listedModel, readList } from './lists.ts';
import { parseStoredName } from './modelName.ts';

/** Ollama has its list of models in memory: one that takes longer than this, in milliseconds, is not waited for. */
const maxWaitMs = 2_000;

/**
 * The models in an answer of `/api/tags`; those that are not understood are left out.
 *
 * @throws Error when it is not JSON of that shape.
 */
export function listedModels(body: Buffer): readonly ListedModel[] {
  const { list } = readList('models', body);
  return (list ?? []).map((entry) => listedModel('models', entry)).filter((listed) => listed !== undefined);
}

function remoteNames(models: readonly ListedModel[]): readonly string[] {
  const remote = models.filter((model) => model.remote).flatMap(({ names }) => names);
  return remote.map((name) => parseStoredName(name)?.short).filter((short) => short !== undefined);
}

/** What remote models are known from. */
export interface RemoteModelsOptions {
  /** Reads the models in `/api/tags`, and gives up by itself. */
  readonly read: () => Promise<readonly ListedModel[]>;
  /** How old what is known may be when a decision is made, in milliseconds. */
  readonly maxAgeMs: number;
  /** In milliseconds; replaced in tests. */
  readonly now?: () => number;
}

/**
 * Which models run on ollama.com though their names do not say so, as after `ollama cp x:cloud y` (SEC-9, SEC-78). Ollama
 * alone knows, and is asked no more often than it has to be.
 */
export class RemoteModels {
  readonly #read: () => Promise<readonly ListedModel[]>;
  readonly #maxAgeMs: number;
  readonly #now: () => number;
  #names: ReadonlySet<string> = new Set();
  #readAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor({ read, maxAgeMs, now = () => performance.now() }: RemoteModelsOptions) {
    this.#read = read;
    this.#maxAgeMs = maxAgeMs;
    this.#now = now;
  }

  /** Whether the model of this short name is known to run elsewhere. */
  isRemote(short: string): boolean {
    return this.#names.has(short);
  }

  /**
   * Waits until what is known is new enough, one question for all who wait. Never rejects: when the list cannot be read,
   * what was known stays, and the request itself finds out what is wrong with Ollama.
   */
  async fresh(): Promise<void> {
    if (this.#asking === undefined && this.#now() - this.#readAt >= this.#maxAgeMs) {
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined;
      });
    }
    await this.#asking;
  }

  /** Takes up what an answer of `/api/tags`, on its way to somebody, tells of remote models; others tell of none. */
  learn(body: Buffer): void {
    try {
      this.#names = new Set([...this.#names, ...remoteNames(listedModels(body))]);
    } catch {
      // Whoever gets the answer finds out that it is no list.
    }
  }

  async #ask(): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(late.reject, maxWaitMs);
    try {
      this.#names = new Set(remoteNames(await Promise.race([this.#read(), late.promise])));
      this.#readAt = this.#now();
    } catch {
      // What was known stays, and the next request asks again.
    } finally {
      clearTimeout(timer);
    }
  }
}
