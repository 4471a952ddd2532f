/**
 * A model's name as Ollama reads it (types/model/name.go and internal/modelref/modelref.go of ollama/ollama at fb30760).
 * Everything in lower case: Ollama folds the case of all four parts.
 */
export interface ModelName {
  readonly host: string;
  readonly namespace: string;
  readonly model: string;
  /** Without what chooses the source: `7b` of `x:7b-cloud`, `latest` of `x:cloud`. */
  readonly tag: string;
  /** Whether it asks for a model that runs on ollama.com. */
  readonly cloud: boolean;
  /** As `/api/tags` shows it, and the same for every spelling: `x:7b`, `team/x:latest`, `x:7b-cloud`, `x:cloud`. */
  readonly short: string;
}

/** The registry, and the namespace in it, of a name that says none. */
export const defaultHost = 'registry.ollama.ai';
export const defaultNamespace = 'library';
const defaultTag = 'latest';

/** Longer than any name with all its parts at their longest, a scheme and a source. */
const maxLength = 1_024;

const validHost = /^\w[\w.:-]{0,349}$/;
const validNamespace = /^\w[\w-]{0,79}$/;
const validModelOrTag = /^\w[\w.-]{0,79}$/;

/** Chooses the source: `:cloud`, `:local`, or `-cloud` at the end of a tag. */
const source = /:cloud$|:local$|(?<=:[^/:]*)-cloud$/;

/**
 * Reads a model's name by Ollama's rules. Undefined for what Ollama calls invalid, and for what two readers could take
 * for two names: more than one source (`x:cloud:local`), anything beyond ASCII, a scheme that is not HTTP's.
 */
export function parseModelName(raw: string): ModelName | undefined {
  if (raw.length > maxLength || !/^[\t\n\r\x20-\x7e]*$/.test(raw)) return undefined;
  const name = raw.trim().toLowerCase();
  const base = name.replace(source, '');
  if (source.test(base)) return undefined;

  const colon = base.lastIndexOf(':');
  const tagged = colon > base.lastIndexOf('/');
  const tag = tagged ? base.slice(colon + 1) : defaultTag;
  const path = (tagged ? base.slice(0, colon) : base).split('/');
  const model = path.pop() ?? '';
  const namespace = path.pop() ?? defaultNamespace;
  const host = path.length === 0 ? defaultHost : path.join('/').replace(/^https?:\/\//, '');

  const valid =
    validHost.test(host) && validNamespace.test(namespace) && validModelOrTag.test(model) && validModelOrTag.test(tag);
  if (!valid) return undefined;
  const cloud = base !== name && !name.endsWith(':local');
  const parts = { host, namespace, model, tag, cloud };
  return { ...parts, short: `${pathOf(parts)}:${sourcedTag(parts)}` };
}

/**
 * Reads a name where Ollama takes it as it stands, as in `/api/copy`, and does not cut the source off: `x:local` is
 * another model than `x` there, which nobody could name to run it, and is taken for none.
 */
export function parseStoredName(raw: string): ModelName | undefined {
  return /:local\s*$/i.test(raw) ? undefined : parseModelName(raw);
}

/** A name without its tag, and without a host and namespace that go without saying: `x`, `team/x`, `hf.co/a/b`. */
export function pathOf({ host, namespace, model }: Pick<ModelName, 'host' | 'namespace' | 'model'>): string {
  if (host !== defaultHost) return `${host}/${namespace}/${model}`;
  return namespace === defaultNamespace ? model : `${namespace}/${model}`;
}

function sourcedTag({ tag, cloud }: Pick<ModelName, 'tag' | 'cloud'>): string {
  if (!cloud) return tag;
  return tag === defaultTag ? 'cloud' : `${tag}-cloud`;
}
