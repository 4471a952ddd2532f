import type { RefusalCode } from '../answers.ts';
import type { BodyFacts, Value } from '../body/facts.ts';
import type { ModelNaming, Route } from '../routes.ts';
import type { Verdict } from './decision.ts';
import { denyingGlobOf, globOf, isWithin } from './modelGlob.ts';
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
function* askModel(access: Access, name: ModelName | undefined, isRemote: IsRemote): Generator<Verdict> {
  if (name === undefined) {
    yield no('bad-model', 'model', 'not the name of a model');
    return;
  }
  for (const { place, globs } of access.models.deny) {
    const glob = denyingGlobOf(globs, name);
    yield glob === undefined ? yes(place, globs.join(', ')) : no('model-not-permitted', place, glob);
  }
  if (name.cloud || isRemote(name.short)) yield onCloud(access);
  const { place, globs } = access.models.allow;
  const glob = globOf(globs, name);
  yield glob === undefined ? no('model-not-permitted', place, globs.join(', ') || 'none') : yes(place, glob);
}

/**
 * Whether the rules let a user use a model that runs where its name says: the yes or no of `askModel` alone, because lists
 * hold many.
 */
export function mayUse({ models, cloud }: Access, name: ModelName): boolean {
  if (name.cloud && !cloud) return false;
  if (models.deny.some(({ globs }) => denyingGlobOf(globs, name) !== undefined)) return false;
  return globOf(models.allow.globs, name) !== undefined;
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
export const saysSomething = (value: Value | undefined): value is Value =>
  value !== undefined && value.kind !== 'null' && value.value !== '';

const namingsOf = ({ path, names }: Route): readonly Naming[] => fetching.get(path) ?? namings[names];

function namesIn(route: Route, { values }: BodyFacts): readonly Named[] {
  return namingsOf(route).flatMap((naming): readonly Named[] => {
    const found = naming.keys.map((key) => values.get(key)).filter(saysSomething);
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

/** Ollama before 0.5.5 made a model of what it read there, or in a file of this path on its own disk. */
const modelfiles = ['modelfile', 'path'];

/** The types of tools that search the web there, whatever white space is around them: Go's is not JavaScript's. */
const webTool = /(^|[^a-z])web_(search|fetch)/i;

/** Whether Ollama searches the web for an answer, or reads what is there. */
export const searchesWeb = ({ toolTypes }: BodyFacts): boolean => toolTypes.some((type) => webTool.test(type));

/** What leads elsewhere beside the names: whatever stands at these keys, but for what Go takes for nothing. */
function* askBeyond(access: Access, { names }: Route, facts: BodyFacts): Generator<Verdict> {
  const { values } = facts;
  const asks = (key: string): boolean => saysSomething(values.get(key)) && values.get(key)?.value !== false;
  if (asks('insecure')) yield no('insecure-not-permitted', 'insecure', 'is never permitted');
  const modelfile = names === 'create' ? modelfiles.find(asks) : undefined;
  if (modelfile !== undefined) yield no('bad-field', modelfile, 'may name any model');
  if (searchesWeb(facts) || asks('web_search_options') || asks('remote_host')) yield onCloud(access);
}

/** Every rule on what a body asks for, in the order in which they are asked. */
export function askBody(access: Access, route: Route, facts: BodyFacts, isRemote: IsRemote): Generator<Verdict> {
  return askAll(access, route, namesIn(route, facts), facts, isRemote);
}

function* askAll(
  access: Access,
  route: Route,
  named: readonly Named[],
  facts: BodyFacts,
  isRemote: IsRemote,
): Generator<Verdict> {
  if (named.length === 0) yield yes('routes', 'names no model');
  yield* askNames(access, named, isRemote);
  yield* askBeyond(access, route, facts);
}

/**
 * Every rule on whichever model a body would name, in the order in which they are asked: a no where none gets by. What
 * wildcards of `deny` leave of those of `allow` is looked into as far as one is in the other as it is written.
 */
export function* askAnyModel({ models, cloud, registries, role }: Access, route: Route): Generator<Verdict> {
  const { place, globs } = models.allow;
  let left = globs;
  for (const { place: denied, globs: denying } of models.deny) {
    const wide = denying.filter((wider) => left.some((glob) => isWithin(glob, wider)));
    left = left.filter((glob) => !wide.some((wider) => isWithin(glob, wider)));
    yield globs.length > 0 && left.length === 0
      ? no('model-not-permitted', denied, wide.join(', '))
      : yes(denied, denying.join(', '));
  }
  const onlyCloud = left.length > 0 && left.every((glob) => /[:-]cloud$/i.test(glob));
  yield onlyCloud && !cloud
    ? no('cloud-not-permitted', `roles.${role}.cloud`, 'false')
    : yes(`roles.${role}.cloud`, String(cloud));
  yield globs.length === 0 ? no('model-not-permitted', place, 'none') : yes(place, globs.join(', '));
  const fetched = namingsOf(route).find(({ fetches }) => fetches);
  if (fetched === undefined || fetched.optional) return;
  const from = [`roles.${role}.registries`, registries.join(', ') || 'none'] as const;
  yield registries.length === 0 ? no('registry-not-permitted', ...from) : yes(...from);
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
  const named = namesIn(route, facts);
  return {
    verdict: decided(askAll(access, route, named, facts, isRemote)),
    models: named.flatMap((one) => ('name' in one && one.name !== undefined ? [one.name.short] : [])),
  };
}
