import type { RefusalCode } from '../answers.ts';
import type { BodyFacts, Value } from '../body/facts.ts';
import { canonicalPath } from '../entry/target.ts';
import { type User, whyBarred } from '../identity/users.ts';
import { type Route, routesOf } from '../routes.ts';
import type { Explanation, Rule, Verdict } from './decision.ts';
import { askBody, askPath, untilDecided } from './models.ts';
import { type Access, accessOf, decideRoute, type Policy } from './policy.ts';

/** What is asked: may this user call this, with this model? */
export interface Question {
  readonly user: string;
  readonly method: string;
  /** As in a request line. */
  readonly path: string;
  /** Left out: with any that the rules on models let through. */
  readonly model?: string;
  /** The moment of the request, in milliseconds since the epoch. */
  readonly now: number;
}

/**
 * Says what the guard would, by the functions that it decides with, and by which rules; behind those that were asked
 * before it stands the one that decided. Does not know which names stand for a model of ollama.com without saying so:
 * Ollama alone does.
 */
export function explain(policy: Policy, users: readonly User[], question: Question): Explanation {
  const { user: name, method, path: target, model, now } = question;
  const path = canonicalPath(target);
  if (path === undefined) return refused('bad-target', [{ place: 'path', says: 'not in its plain form' }]);
  const user = users.find((candidate) => candidate.name === name);
  if (user === undefined) return refused('unauthenticated', [{ place: `users.${name}`, says: 'no such user' }]);
  const barred = barredBy(user, now);
  if (barred !== undefined) return refused('unauthenticated', [barred]);

  const access = accessOf(policy, user);
  const rules = [{ place: `users.${name}.role`, says: user.role }, ...routeRules(policy, access, method, path)];
  const decision = decideRoute(access.can, method, path);
  if ('refusal' in decision) return refused(decision.refusal, rules);

  const { route } = decision;
  const asked = untilDecided(modelVerdicts(access, route, path, model));
  const last = asked.at(-1);
  const all = [...rules, ...asked.map(({ rule }) => ofUser(name, rule))];
  if (last?.allowed === false) return refused(last.refusal, all);
  return { allowed: true, rules: [...all.slice(0, -1), ...holds(access, user, route), ...all.slice(-1)] };
}

const refused = (refusal: RefusalCode, rules: readonly Rule[]): Explanation => ({ allowed: false, refusal, rules });

/** Users know themselves as `user`; whoever asks for an explanation has many. */
const ofUser = (name: string, { place, says }: Rule): Rule => ({
  place: place.replace(/^user\./, `users.${name}.`),
  says,
});

function barredBy(user: User, now: number): Rule | undefined {
  switch (whyBarred(user, now)) {
    case 'disabled':
      return { place: `users.${user.name}.disabled`, says: 'true' };
    case 'expired':
      return { place: `users.${user.name}.expiresAt`, says: String(user.expiresAt) };
    case undefined:
      return undefined;
  }
}

function routeRules({ roles }: Policy, { role, can }: Access, method: string, path: string): readonly Rule[] {
  const candidates = routesOf(path);
  const route = candidates.find((candidate) => candidate.method === method);
  if (route === undefined) {
    const methods = candidates.map((candidate) => candidate.method).join(', ');
    return [{ place: 'routes', says: candidates.length === 0 ? `no ${path}` : `${path} takes ${methods}` }];
  }
  if (route.needs === 'denied') return [{ place: 'routes', says: `${method} ${path} is closed to everyone` }];
  return [
    { place: 'routes', says: `${method} ${path} needs ${route.needs}` },
    roles.has(role)
      ? { place: `roles.${role}.can`, says: inList(can) }
      : { place: `roles.${role}`, says: 'no such role' },
  ];
}

const inList = (items: readonly string[]): string => items.join(', ') || 'none';

const nobody = (): boolean => false;

function modelVerdicts(access: Access, route: Route, path: string, model: string | undefined): Iterable<Verdict> {
  if (route.names === 'path') return askPath(access, path, nobody);
  if (route.names === 'none') return [];
  return model === undefined
    ? modelRules(access, route).map((rule) => ({ allowed: true, rule }))
    : askBody(access, route, naming(model), nobody);
}

/** Of a request that names a model and nothing else, wherever its route has the name. */
function naming(model: string): BodyFacts {
  const value: Value = { kind: 'string', value: model, start: 0, end: 0 };
  const values = new Map(['model', 'source', 'destination'].map((key) => [key, value]));
  return { values, images: { count: 0, bytes: 0 }, toolTypes: [], textBytes: 0 };
}

function modelRules({ role, models, cloud, registries }: Access, { needs }: Route): readonly Rule[] {
  return [
    ...models.deny.map(({ place, globs }) => ({ place, says: inList(globs) })),
    { place: `roles.${role}.cloud`, says: String(cloud) },
    ...(needs === 'manage' ? [{ place: `roles.${role}.registries`, says: inList(registries) }] : []),
    { place: models.allow.place, says: inList(models.allow.globs) },
  ];
}

/** What a request that is let through is held to: those that use a model alone. */
function holds(access: Access, user: User, { needs }: Route): readonly Rule[] {
  if (needs !== 'infer') return [];
  const { role, clamps, limits, limitsPerKey, priority, weight } = access;
  const ofRole = (key: string, value: unknown): Rule => ({ place: `roles.${role}.${key}`, says: text(value) });
  return [
    ...Object.entries(clamps).map(([key, value]) => ofRole(`clamps.${key}`, value)),
    ...Object.entries(limits).map(([key, value]) =>
      Object.hasOwn(user.limits ?? {}, key)
        ? { place: `users.${user.name}.limits.${key}`, says: text(value) }
        : ofRole(`limits.${key}`, value),
    ),
    ...Object.entries(limitsPerKey).map(([key, value]) => ofRole(`limitsPerKey.${key}`, value)),
    ...(priority === 0 ? [] : [ofRole('priority', priority)]),
    ...(weight === 1 ? [] : [ofRole('weight', weight)]),
  ];
}

/** A value of the policy in words: `30`, `1m`, `min 1m, max 1h`, `temperature, top_p`. */
function text(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return inList(value);
  return inList(Object.entries(value).map(([key, inner]) => `${key} ${inner}`));
}
