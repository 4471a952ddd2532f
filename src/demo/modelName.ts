/** A model name as Ollama reads it. */
export interface ModelName {
  /** Host, namespace, model and tag in lower case: equal for every spelling of one model. */
  readonly key: string;
  /** The shortest form, as `/api/tags` shows it. */
  readonly display: string;
  /** Whether the name asks for a model of ollama.com (`x:cloud`, `x:7b-cloud`). */
  readonly cloud: boolean;
}

const DEFAULT_HOST = 'registry.ollama.ai';
const DEFAULT_NAMESPACE = 'library';
const DEFAULT_TAG = 'latest';

const HOST = /^\w[\w.:-]{0,349}$/;
const NAMESPACE = /^\w[\w-]{0,79}$/;
const MODEL_OR_TAG = /^\w[\w.-]{0,79}$/;

/**
 * Reads a model name by Ollama's rules: surrounding space is dropped, the suffixes `:cloud`, `-cloud` and `:local`
 * choose the source, missing parts take `registry.ollama.ai/library/…:latest`, and letter case does not tell two
 * models apart. Answers undefined for a name that Ollama calls invalid.
 */
export function parseModelName(raw: string): ModelName | undefined {
  const { base, cloud } = cutSource(raw.trim());
  const slash = base.lastIndexOf('/');
  const colon = base.lastIndexOf(':');
  const tagged = colon > slash;
  const tag = tagged ? base.slice(colon + 1) : DEFAULT_TAG;
  const path = (tagged ? base.slice(0, colon) : base).split('/');

  const model = path.pop() ?? '';
  const namespace = path.pop() ?? DEFAULT_NAMESPACE;
  const host = path.length === 0 ? DEFAULT_HOST : path.join('/').replace(/^\w+:\/\//, '');
  const valid = HOST.test(host) && NAMESPACE.test(namespace) && MODEL_OR_TAG.test(model) && MODEL_OR_TAG.test(tag);
  if (!valid) return undefined;

  return {
    key: `${host}/${namespace}/${model}:${tag}`.toLowerCase(),
    display: shortest(host, namespace, model, tag),
    cloud,
  };
}

function cutSource(name: string): { base: string; cloud: boolean } {
  const cloud = /:cloud$|(?<=:[^/:]*)-cloud$/i;
  if (cloud.test(name)) return { base: name.replace(cloud, ''), cloud: true };
  return { base: name.replace(/:local$/i, ''), cloud: false };
}

function shortest(host: string, namespace: string, model: string, tag: string): string {
  const isDefault = (part: string, usual: string): boolean => part.toLowerCase() === usual;
  if (!isDefault(host, DEFAULT_HOST)) return `${host}/${namespace}/${model}:${tag}`;
  if (!isDefault(namespace, DEFAULT_NAMESPACE)) return `${namespace}/${model}:${tag}`;
  return `${model}:${tag}`;
}
