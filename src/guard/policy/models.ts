import type { RefusalCode } from '../answers.ts';
import type { BodyFacts, Value } from '../body/facts.ts';
import type { ModelNaming, Route } from '../routes.ts';
import type { Verdict } from './decision.ts';
import { namesModel } from './modelGlob.ts';
import { type ModelName, parseModelName, parseStoredName } from './modelName.ts';
import type { Access } from './policy.ts';

/** Whether a model, by the short form of its name, runs on ollama.com though its name does not say so. */
export type IsRemote = (short: string) => boolean;

const yes = (place: string, says: string): Verdict => ({ allowed: true, rule: { place, says } });

const no = (refusal: RefusalCode, place: string, says: string): Verdict => ({
  allowed: false,
  refusal,
  rule: { place, says },
});

/** What was asked up to what decides: the first refusal, or the last answer when there is none. */
export function untilDecided(asked: Iterable<Verdict>): readonly Verdict[] {
  const verdicts: Verdict[] = [];
  for (const verdict of asked) {
    verdicts.push(verdict);
    if (!verdict.allowed) break;
  }
  return verdicts;
}

/** What decides; a refusal when nothing was asked (SEC-15). */
export function decided(asked: Iterable<Verdict>): Verdict {
  return untilDecided(asked).at(-1) ?? no('not-permitted', 'policy', 'no rule matches');
}

/** Every rule on a model, in the order in which they are asked. */
export function* askModel(access: Access, name: ModelName | undefined, isRemote: IsRemote): Generator<Verdict> {
  if (name === undefined) {
    yield no('bad-model', 'model', 'not the name of a model');
    return;
  }
  for (const { place, globs } of access.models.deny) {
    const glob = globs.find((candidate) => namesModel(candidate, name));
    yield glob === undefined ? yes(place, globs.join(', ')) : no('model-not-permitted', place, glob);
  }
  if (name.cloud || isRemote(name.short)) yield onCloud(access);
  const { place, globs } = access.models.allow;
  const glob = globs.find((candidate) => namesModel(candidate, name));
  yield glob === undefined ? no('model-not-permitted', place, globs.join(', ') || 'none') : yes(place, glob);
}

/** May this user use this model, however it is spelled (SEC-36)? */
export function judgeModel(access: Access, raw: string, isRemote: IsRemote): Verdict {
  return decided(askModel(access, parseModelName(raw), isRemote));
}

/** Every rule on the model that the last segment of a canonical path names, in the order in which they are asked. */
export function askPath(access: Access, path: string, isRemote: IsRemote): Generator<Verdict> {
  return askModel(access, parseModelName(path.slice(path.lastIndexOf('/') + 1)), isRemote);
}

/** May this user see the model that the last segment of a canonical path names? */
export function judgePath(access: Access, path: string, isRemote: IsRemote): Verdict {
  return decided(askPath(access, path, isRemote));
}

/** Runs on the owner's account (SEC-78). */
function onCloud({ cloud, role }: Access): Verdict {
  const place = `roles.${role}.cloud`;
  return cloud ? yes(place, 'true') : no('cloud-not-permitted', place, 'false');
}

/** Hosts are compared whole: neither an address nor a port is let in by what it belongs to (SEC-8). */
function inRegistry({ registries, role }: Access, host: string): Verdict {
  const place = `roles.${role}.registries`;
  return registries.includes(host) ? yes(place, host) : no('registry-not-permitted', place, registries.join(', '));
}

/** A place in a body where a route names a model. */
interface Naming {
  /** Keys for the same thing. */
  readonly keys: readonly string[];
  readonly optional?: true;
  /** As Ollama's handler of the route reads it. */
  readonly read: (raw: string) => ModelName | undefined;
  /** Whether the name's host is called. */
  readonly fetches?: true;
}

const modelKeys = ['model', 'name'];

const namings: Readonly<Record<ModelNaming, readonly Naming[]>> = {
  model: [{ keys: ['model'], read: parseModelName }],
  'model-or-name': [{ keys: modelKeys, read: parseModelName }],
  create: [
    { keys: modelKeys, read: parseStoredName },
    { keys: ['from'], optional: true, read: parseModelName, fetches: true },
  ],
  copy: [
    { keys: ['source'], read: parseStoredName },
    { keys: ['destination'], read: parseStoredName },
  ],
  path: [],
  none: [],
};

const fetching = new Map<Route['path'], readonly Naming[]>([
  ['/api/pull', [{ keys: modelKeys, read: parseModelName, fetches: true }]],
  ['/api/push', [{ keys: modelKeys, read: parseStoredName, fetches: true }]],
]);

/** What stands at a naming: a name, undefined for a text that is none; or why it cannot be told. */
type Named = { readonly naming: Naming; readonly name: ModelName | undefined } | { readonly problem: Verdict };

/** Go takes null and an empty text for nothing. */
const isThere = (value: Value | undefined): value is Value =>
  value !== undefined && value.kind !== 'null' && value.value !== '';

function namesIn({ path, names }: Route, { values }: BodyFacts): readonly Named[] {
  return (fetching.get(path) ?? namings[names]).flatMap((naming): readonly Named[] => {
    const found = naming.keys.map((key) => values.get(key)).filter(isThere);
    const place = naming.keys.join(' or ');
    const [first] = found;
    if (first === undefined) return naming.optional ? [] : [{ problem: no('no-model', place, 'names no model') }];
    if (typeof first.value !== 'string' || found.some(({ kind }) => kind !== 'string')) {
      return [{ problem: no('bad-field', place, 'is no text') }];
    }
    if (found.some(({ value }) => value !== first.value)) {
      return [{ problem: no('no-model', place, 'names two models') }];
    }
    return [{ naming, name: naming.read(first.value) }];
  });
}

function* askNames(access: Access, named: readonly Named[], isRemote: IsRemote): Generator<Verdict> {
  for (const one of named) {
    if ('problem' in one) {
      yield one.problem;
      return;
    }
    yield* askModel(access, one.name, isRemote);
    if (one.naming.fetches && one.name !== undefined) yield inRegistry(access, one.name.host);
  }
}

/** What leads elsewhere beside the names: whatever stands at these keys, but for what Go takes for nothing. */
function* askBeyond(access: Access, { values, toolTypes }: BodyFacts): Generator<Verdict> {
  const asks = (key: string): boolean => isThere(values.get(key)) && values.get(key)?.value !== false;
  if (asks('insecure')) yield no('registry-not-permitted', 'insecure', 'is never permitted');
  // Ollama before 0.5.5 read names of models out of it.
  if (asks('modelfile')) yield no('bad-field', 'modelfile', 'may name any model');
  const searches = toolTypes.some((type) => /^web_(search|fetch)/i.test(type.trim()));
  if (searches || asks('web_search_options') || asks('remote_host')) yield onCloud(access);
}

/** Every rule on what a body asks for, in the order in which they are asked. */
export function* askBody(access: Access, route: Route, facts: BodyFacts, isRemote: IsRemote): Generator<Verdict> {
  const named = namesIn(route, facts);
  if (named.length === 0) yield yes('routes', 'names no model');
  yield* askNames(access, named, isRemote);
  yield* askBeyond(access, facts);
}

/** What is said of a body, and the short names of the models that it names, as far as they are names. */
export interface BodyVerdict {
  readonly verdict: Verdict;
  readonly models: readonly string[];
}

/**
 * May this user send this body on this route? Every model that it names is judged: an alias inherits nothing from what it
 * is made of (SEC-9), and a route that names a model has no way past this (SEC-20).
 */
export function judgeBody(access: Access, route: Route, facts: BodyFacts, isRemote: IsRemote): BodyVerdict {
  return {
    verdict: decided(askBody(access, route, facts, isRemote)),
    models: namesIn(route, facts).flatMap((one) => ('name' in one && one.name !== undefined ? [one.name.short] : [])),
  };
}
