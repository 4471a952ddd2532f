import { type ListedModel, listedModel, readList } from './lists.ts';
import { parseStoredName } from './modelName.ts';

/** How long a list is waited for when an older one will do, in milliseconds. */
const patienceMs = 2_000;

/** So often a list is asked for that others have made old before it came; whoever changes models all the time is not outwaited. */
const maxTries = 5;

/** How long a list will do when no newer one can be read, in milliseconds: a busy Ollama does not lock everybody out. */
const usableMs = 5 * 60_000;

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
  /** How old what is known may be before Ollama is asked again, in milliseconds. */
  readonly maxAgeMs: number;
  /** Told why a list cannot be read, once until one can. */
  readonly onFailure: (error: unknown) => void;
  /** In milliseconds; replaced in tests. */
  readonly now?: () => number;
}

/**
 * Which models run on ollama.com though their names do not say so, as after `ollama cp x:cloud y` (SEC-9, SEC-78). Ollama
 * alone knows, and is asked no more often than it has to be.
 */
export class RemoteModels {
  readonly #options: RemoteModelsOptions;
  readonly #now: () => number;
  #names: ReadonlySet<string> = new Set();
  #readAt = Number.NEGATIVE_INFINITY;
  /** What was taken up last, and what was known then. */
  #learnt: { readonly from?: unknown; readonly names?: ReadonlySet<string> } = {};
  #asking: Promise<boolean> | undefined;
  /** How many requests are under way that may give models other names, and how often one was over. */
  #changing = 0;
  #revision = 0;
  #hasFailed = false;

  constructor(options: RemoteModelsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Whether the model of this short name is known to run elsewhere. */
  isRemote(short: string): boolean {
    return this.#names.has(short);
  }

  /**
   * Waits until what is known is new enough, one question for all who wait. Never rejects.
   *
   * @returns whether it is known which models run elsewhere; if not, no model may be taken for a local one.
   */
  async fresh(): Promise<boolean> {
    for (let tries = 0; tries < maxTries; tries += 1) {
      if (this.#changing === 0 && this.#age < this.#options.maxAgeMs) return true;
      // While models get other names, only what is asked from now on counts: those who come meanwhile share the next list.
      if (this.#changing > 0 && this.#asking !== undefined) await this.#asking;
      const revision = this.#revision;
      this.#asking ??= this.#ask(revision).finally(() => {
        if (revision === this.#revision) this.#asking = undefined;
      });
      const isRead = await (this.#isUsable ? atMost(this.#asking, patienceMs) : this.#asking);
      if (revision === this.#revision) return isRead || this.#isUsable;
    }
    return false;
  }

  /**
   * A request begins that may give models other names: until it is over everything is asked for anew, and what was known
   * before will not do afterwards.
   *
   * @returns what to call when it is over.
   */
  change(): () => void {
    this.#changing += 1;
    return () => {
      this.#changing -= 1;
      this.#readAt = Number.NEGATIVE_INFINITY;
      this.#revision += 1;
      this.#asking = undefined;
    };
  }

  /** Takes up what an answer of `/api/tags`, on its way to somebody, tells of remote models; others tell of none. */
  learn(body: Buffer): void {
    try {
      const { list } = readList('models', body);
      if (list === this.#learnt.from && this.#names === this.#learnt.names) return;
      this.#names = new Set([...this.#names, ...remoteNames(listedModels(body))]);
      this.#learnt = { from: list, names: this.#names };
    } catch {
      // Whoever gets the answer finds out that it is no list.
    }
  }

  get #age(): number {
    return this.#now() - this.#readAt;
  }

  get #isUsable(): boolean {
    return this.#changing === 0 && this.#age < usableMs;
  }

  /** @returns whether the list was read, and counts. */
  async #ask(revision: number): Promise<boolean> {
    const askedAt = this.#now();
    try {
      const names = remoteNames(await this.#options.read());
      if (revision !== this.#revision) return false;
      this.#names = new Set(names);
      this.#readAt = askedAt;
      this.#hasFailed = false;
      return true;
    } catch (error) {
      if (!this.#hasFailed) this.#options.onFailure(error);
      this.#hasFailed = true;
      return false;
    }
  }
}

/** Waits for a promise that does not reject, for so many milliseconds at most; false when that is too short. */
async function atMost(promise: Promise<boolean>, milliseconds: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(late.resolve, milliseconds, false);
  const outcome = await Promise.race([promise, late.promise]);
  clearTimeout(timer);
  return outcome;
}
