import type { RefusalCode } from '../answers.ts';
import type { BodyFacts, Value } from '../body/facts.ts';
import { canonicalPath } from '../entry/target.ts';
import { namesakeOf, type User, whyBarred } from '../identity/users.ts';
import { methodsOf } from '../join/pages.ts';
import { publicAnswer, queueMethods, queuePath } from '../ownPaths.ts';
import { type Route, routesOf } from '../routes.ts';
import type { Explanation, Rule, Verdict } from './decision.ts';
import { askAnyModel, askBody, askPath, untilDecided } from './models.ts';
import { outputFields } from './outputFields.ts';
import { type Access, accessOf, decideRoute, type Policy } from './policy.ts';
import { inList, valueWords } from './valueWords.ts';

/** What is asked: may this user call this, with this model? */
export interface Question {
  readonly user: string;
  readonly method: string;
  /** As in a request line. */
  readonly path: string;
  /** Left out: with any that the rules on models let through. */
  readonly model?: string;
  /** Of somebody who signs in by a token that gives this role, and is no user; left out: of a user. */
  readonly role?: string;
  /** The moment of the request, in milliseconds since the epoch. */
  readonly now: number;
}

/** Who asks: a user, or somebody whom a token names. */
type Asker = Pick<User, 'name' | 'role' | 'models' | 'limits'>;

/**
 * Says what the guard would, by the functions that it decides with, and by which rules; behind those that were asked
 * before it stands the one that decided. Does not know which names stand for a model of ollama.com without saying so:
 * Ollama alone does.
 */
export function explain(policy: Policy, users: readonly User[], question: Question): Explanation {
  const { user: name, method, path: target, model, now, role } = question;
  const path = canonicalPath(target);
  if (path === undefined) return refused('bad-target', [{ place: 'path', says: 'not in its plain form' }]);
  if (publicAnswer(method, path) !== undefined) return answered([], method, path, 'everyone');
  const methods = methodsOf(path)?.split(', ');
  if (methods !== undefined) {
    if (methods.includes(method)) return answered([], method, path, 'everyone');
    return refused('method-not-allowed', [takes(path, methods)]);
  }

  // Behind a token, one of its name can bar it, and lends it nothing.
  const record = role === undefined ? users.find((user) => user.name === name) : namesakeOf(users, name);
  const asker: Asker | undefined = role === undefined ? record : { name, role };
  if (asker === undefined) return refused('unauthenticated', [{ place: `users.${name}`, says: 'no such user' }]);
  const barred = record && barredBy(record, now);
  if (barred !== undefined) return refused('unauthenticated', [barred]);

  const of: Rule = { place: `${role === undefined ? 'users' : 'tokens'}.${name}.role`, says: asker.role };
  return path === queuePath ? explainQueue(of, method) : explainRoute(policy, asker, of, { method, path, model });
}

function explainQueue(of: Rule, method: string): Explanation {
  if (queueMethods.includes(method)) return answered([of], method, queuePath, 'every user');
  return refused('method-not-allowed', [of, takes(queuePath, queueMethods)]);
}

function explainRoute(
  policy: Policy,
  asker: Asker,
  of: Rule,
  { method, path, model }: Pick<Question, 'method' | 'path'> & { readonly model: string | undefined },
): Explanation {
  const access = accessOf(policy, asker);
  const rules = [of, ...routeRules(policy, access, method, path)];
  const decision = decideRoute(access.can, method, path);
  if ('refusal' in decision) return refused(decision.refusal, rules);

  const { route } = decision;
  const asked = untilDecided(modelVerdicts(access, route, path, model));
  const last = asked.at(-1);
  const all = [...rules, ...asked.map(({ rule }) => ofUser(asker.name, rule))];
  if (last?.allowed === false) return refused(last.refusal, all);
  return { allowed: true, rules: [...all.slice(0, -1), ...holds(access, asker, path, route), ...all.slice(-1)] };
}

const refused = (refusal: RefusalCode, rules: readonly Rule[]): Explanation => ({ allowed: false, refusal, rules });

/** Something of the guard's own that is answered. */
const answered = (rules: readonly Rule[], method: string, path: string, who: string): Explanation => ({
  allowed: true,
  rules: [...rules, { place: 'routes', says: `${method} ${path} is answered to ${who}` }],
});

const takes = (path: string, methods: readonly string[]): Rule => ({
  place: 'routes',
  says: `${path} takes ${methods.join(', ')}`,
});

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
    if (candidates.length === 0) return [{ place: 'routes', says: `no ${path}` }];
    return [
      takes(
        path,
        candidates.map((candidate) => candidate.method),
      ),
    ];
  }
  if (route.needs === 'denied') return [{ place: 'routes', says: `${method} ${path} is closed to everyone` }];
  return [
    { place: 'routes', says: `${method} ${path} needs ${route.needs}` },
    roles.has(role)
      ? { place: `roles.${role}.can`, says: inList(can) }
      : { place: `roles.${role}`, says: 'no such role' },
  ];
}

const nobody = (): boolean => false;

function modelVerdicts(access: Access, route: Route, path: string, model: string | undefined): Iterable<Verdict> {
  if (route.names === 'path') return askPath(access, path, nobody);
  if (route.names === 'none') return [];
  return model === undefined ? askAnyModel(access, route) : askBody(access, route, naming(model), nobody);
}

/** Of a request that names a model and nothing else, wherever its route has the name. */
function naming(model: string): BodyFacts {
  const value: Value = { kind: 'string', value: model, start: 0, end: 0 };
  const values = new Map(['model', 'source', 'destination'].map((key) => [key, value]));
  return { values, images: { count: 0, bytes: 0 }, toolTypes: [], textBytes: 0 };
}

/** What the parameters of a model that is made are held to, and what a form. */
const clampsOfParameters: readonly string[] = ['contextTokens', 'outputTokens', 'options'];
const clampsOfForms: readonly string[] = ['images', 'imageBytes'];

/** Whether a request that uses a model is held to a clamp. */
function isHeldTo(clamp: string, path: string, { body }: Route): boolean {
  if (body === 'form') return clampsOfForms.includes(clamp);
  return clamp !== 'outputTokens' || outputFields(path).length > 0;
}

/** What a request that is let through is held to: uploads, those that make a model, and those that use one. */
function holds(access: Access, user: Asker, path: string, route: Route): readonly Rule[] {
  const { needs, body, names } = route;
  const { role, clamps, limits, limitsPerKey, priority, registries, weight } = access;
  const ofRole = (key: string, value: unknown): Rule => ({ place: `roles.${role}.${key}`, says: valueWords(value) });
  const { uploadBytes, ...ofBody } = clamps;
  if (body === 'blob') return uploadBytes === undefined ? [] : [ofRole('clamps.uploadBytes', uploadBytes)];
  const holding = (key: string): boolean =>
    needs === 'infer' ? isHeldTo(key, path, route) : names === 'create' && clampsOfParameters.includes(key);
  const bounds = Object.entries(ofBody).filter(([key]) => holding(key));
  const rules = bounds.map(([key, value]) => ofRole(`clamps.${key}`, value));
  if (names === 'create') return [...rules, ofRole('registries', `${inList(registries)} (for a model in from)`)];
  if (needs !== 'infer') return rules;
  return [
    ...rules,
    ...Object.entries(limits).map(([key, value]) =>
      Object.hasOwn(user.limits ?? {}, key)
        ? { place: `users.${user.name}.limits.${key}`, says: valueWords(value) }
        : ofRole(`limits.${key}`, value),
    ),
    ...Object.entries(limitsPerKey).map(([key, value]) => ofRole(`limitsPerKey.${key}`, value)),
    ...(priority === 0 ? [] : [ofRole('priority', priority)]),
    ...(weight === 1 ? [] : [ofRole('weight', weight)]),
  ];
}
