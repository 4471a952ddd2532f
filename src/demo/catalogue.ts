import { createHash } from 'node:crypto';
import { type ModelName, parseModelName } from './modelName.ts';
import { Refusal } from './refusal.ts';

/** What a model can do, in Ollama's words. */
export type Capability = 'completion' | 'tools' | 'insert' | 'embedding' | 'audio';

/** A model that the demo pretends to hold. */
export interface Model {
  /** The shortest form of its name, with the tag. */
  readonly name: string;
  readonly capabilities: readonly Capability[];
  /** 64 hex digits. */
  readonly digest: string;
  readonly modifiedAt: Date;
}

/** Pretended size in bytes; there are no weights. */
export const MODEL_SIZE = 1_048_576;
export const CONTEXT_LENGTH = 8_192;
export const EMBEDDING_LENGTH = 384;

const CHAT: readonly Capability[] = ['completion', 'tools', 'insert'];

/** What a new demo holds. Any other name can be pulled: nothing is fetched for it. */
const BUILT_IN: readonly (readonly [name: string, capabilities: readonly Capability[]])[] = [
  ['demo:latest', CHAT],
  ['demo:7b', CHAT],
  ['demo-embed:latest', ['embedding']],
  ['demo-audio:latest', ['completion', 'audio']],
  ['team/demo-private:latest', CHAT],
];

const DEFAULT_KEEP_ALIVE_MS = 300_000;
/** Ollama's "for ever" is the longest duration Go can count. */
const FOREVER_MS = 2 ** 63 / 1e6;

/** The models that are there and those that are loaded. Lists are rendered once per change, not per request. */
export class Catalogue {
  readonly #models = new Map<string, Model>();
  /** Name key to the time (ms) at which the model leaves memory. */
  readonly #loaded = new Map<string, number>();
  readonly #cloudModels: readonly string[];
  #tags: Buffer | undefined;

  /** @param cloudModels names of models that are listed and would run on ollama.com; using one is refused. */
  constructor(cloudModels: readonly string[] = []) {
    this.#cloudModels = cloudModels;
    for (const [name, capabilities] of BUILT_IN) this.add(nameOf(name), capabilities);
  }

  get models(): readonly Model[] {
    return [...this.#models.values()];
  }

  /** The body of `GET /api/tags`. */
  get tags(): Buffer {
    this.#tags ??= Buffer.from(
      JSON.stringify({ models: [...this.models.map(tagOf), ...this.#cloudModels.map(cloudTagOf)] }),
    );
    return this.#tags;
  }

  /**
   * The model of a name in any spelling. Refuses a missing or invalid name (400), a model of ollama.com (403), and one
   * that is not there (404), in the words that `notFound` makes of the name.
   */
  find(raw: string, notFound: (raw: string, display: string) => string = asAsked): Model {
    const name = nameOf(raw);
    if (name.cloud) throw new Refusal(403, 'ollama cloud is disabled: remote model is unavailable');
    const model = this.#models.get(name.key);
    if (model === undefined) throw new Refusal(404, notFound(raw, name.display));
    return model;
  }

  /** Adds or replaces a model. */
  add(name: ModelName, capabilities: readonly Capability[] = CHAT): void {
    const digest = createHash('sha256').update(name.key).digest('hex');
    this.#models.set(name.key, { name: name.display, capabilities, digest, modifiedAt: new Date() });
    this.#tags = undefined;
  }

  /** Removes a model, from memory too. */
  remove(model: Model): void {
    const { key } = nameOf(model.name);
    this.#models.delete(key);
    this.#loaded.delete(key);
    this.#tags = undefined;
  }

  /** Loads a model and keeps it for `keepAliveMs` (five minutes unless told; 0 unloads it; Infinity is for ever). */
  load(model: Model, keepAliveMs: number = DEFAULT_KEEP_ALIVE_MS): void {
    const { key } = nameOf(model.name);
    if (!this.#models.has(key)) return;
    this.#loaded.set(key, Date.now() + Math.min(keepAliveMs, FOREVER_MS));
  }

  /** The body of `GET /api/ps`: what is loaded now, longest first. */
  running(): object {
    const now = Date.now();
    for (const [key, expiresAt] of this.#loaded) if (expiresAt <= now) this.#loaded.delete(key);
    const rows = [...this.#loaded].toSorted(([, one], [, other]) => other - one);
    return { models: rows.flatMap(([key, expiresAt]) => processOf(this.#models.get(key), expiresAt)) };
  }
}

/** The parsed form of a name; refuses a missing or invalid one. */
export function nameOf(raw: string): ModelName {
  if (raw.trim() === '') throw new Refusal(400, 'model is required');
  const name = parseModelName(raw);
  if (name === undefined) throw new Refusal(400, 'invalid model name');
  return name;
}

/** The `details` that Ollama repeats in tags, ps and show. */
export function detailsOf(): object {
  return {
    parent_model: '',
    format: 'gguf',
    family: 'demo',
    families: ['demo'],
    parameter_size: '0B',
    quantization_level: 'demo',
  };
}

function asAsked(raw: string): string {
  return `model '${raw}' not found`;
}

function tagOf(model: Model): object {
  return {
    name: model.name,
    model: model.name,
    modified_at: model.modifiedAt.toISOString(),
    size: MODEL_SIZE,
    digest: model.digest,
    details: { ...detailsOf(), context_length: CONTEXT_LENGTH, embedding_length: EMBEDDING_LENGTH },
    capabilities: model.capabilities,
  };
}

function cloudTagOf(name: string): object {
  return {
    name,
    model: name,
    remote_model: name.replace(/[:-]cloud$/, ''),
    remote_host: 'https://ollama.com:443',
    modified_at: new Date(0).toISOString(),
    size: 384,
    digest: createHash('sha256').update(name).digest('hex'),
    details: { ...detailsOf(), format: '' },
    capabilities: ['completion'],
  };
}

function processOf(model: Model | undefined, expiresAt: number): object[] {
  if (model === undefined) return [];
  return [
    {
      name: model.name,
      model: model.name,
      size: MODEL_SIZE,
      digest: model.digest,
      details: detailsOf(),
      expires_at: new Date(expiresAt).toISOString(),
      size_vram: MODEL_SIZE,
      context_length: CONTEXT_LENGTH,
    },
  ];
}
