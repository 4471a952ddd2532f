import type { RefusalCode } from '../answers.ts';
import type { User } from '../identity/users.ts';
import { type Capability, type Route, routesOf } from '../routes.ts';
import { parseDuration } from '../share/duration.ts';
import { defaultHost } from './modelName.ts';
import type { Clamps, Limits, ModelRules, PolicyDocument, RoleDocument, TokenIssuer } from './policyDocument.ts';

/** What a role may do, complete. */
export interface Role {
  readonly name: string;
  readonly can: readonly Capability[];
  readonly models: Required<ModelRules>;
  readonly cloud: boolean;
  readonly registries: readonly string[];
  readonly clamps: Clamps;
  readonly limits: Limits;
  readonly limitsPerKey: Limits;
  /** Higher goes first. */
  readonly priority: number;
  readonly weight: number;
}

/** The queue's numbers, complete. */
export interface QueuePolicy {
  readonly concurrency: number;
  readonly length: number;
  readonly maxWaitMs: number;
}

/** A policy, complete: what the document says over what holds anyway. */
export interface Policy {
  readonly roles: ReadonlyMap<string, Role>;
  readonly queue: QueuePolicy;
  readonly issuers: readonly TokenIssuer[];
}

const anyModel: Required<ModelRules> = { allow: ['*'], deny: [] };

const common = {
  models: anyModel,
  cloud: false,
  registries: [defaultHost],
  /** SEC-10: whoever has larger files of models says so in the policy. */
  clamps: { uploadBytes: 64 * 1024 ** 3 },
  limits: {},
  limitsPerKey: {},
  priority: 0,
  weight: 1,
} as const;

/** What a role of a policy is before the policy says anything. */
const blank: Omit<Role, 'name'> = {
  ...common,
  can: ['read', 'infer'],
  clamps: { ...common.clamps, keepAlive: { min: '1m', max: '1h' } },
};

/**
 * The roles that are there without a policy. A shared model stays in memory whatever one of those who share it asks for
 * (SEC-39), and models of ollama.com are the owner's to use, who pays for them (SEC-78).
 */
export const builtInRoles: readonly Role[] = [
  { ...common, name: 'viewer', can: ['read'] },
  { ...blank, name: 'member' },
  { ...common, name: 'admin', can: ['read', 'infer', 'manage'] },
  { ...common, name: 'owner', can: ['read', 'infer', 'manage'], cloud: true, priority: 10 },
];

/** The names of the roles that are there without a policy, least first. */
export const roleNames: readonly string[] = builtInRoles.map(({ name }) => name);

/** Without a number from Ollama: as many as it takes on at once by itself at most. */
const defaultQueue: QueuePolicy = { concurrency: 4, length: 256, maxWaitMs: 10 * 60_000 };

/** Completes a policy. A role that is there anyway keeps what the document does not mention of it. */
export function resolvePolicy({ roles = {}, queue = {}, issuers = [] }: PolicyDocument): Policy {
  const resolved = new Map(builtInRoles.map((role) => [role.name, role]));
  for (const [name, role] of Object.entries(roles)) {
    resolved.set(name, completed(resolved.get(name) ?? { ...blank, name }, role));
  }
  const { maxWait, ...numbers } = queue;
  const maxWaitMs = maxWait === undefined ? defaultQueue.maxWaitMs : (parseDuration(maxWait) ?? 0);
  return { roles: resolved, queue: { ...defaultQueue, ...numbers, maxWaitMs }, issuers };
}

function completed(before: Role, { models, clamps, limits, limitsPerKey, ...rest }: RoleDocument): Role {
  return {
    ...before,
    ...rest,
    models: { ...before.models, ...models },
    clamps: completedClamps(before.clamps, clamps),
    limits: { ...before.limits, ...limits },
    limitsPerKey: { ...before.limitsPerKey, ...limitsPerKey },
  };
}

function completedClamps(before: Clamps, clamps: Clamps = {}): Clamps {
  const keepAlive = clamps.keepAlive && { ...before.keepAlive, ...clamps.keepAlive };
  return { ...before, ...clamps, ...(keepAlive && { keepAlive }) };
}

/** The policy where nothing is written. */
export const defaultPolicy: Policy = resolvePolicy({});

/** Globs of models, and the place where they are written. */
export interface PlacedGlobs {
  /** A place of the policy, or of the user's record: `roles.member.models.deny`, `user.models.deny`. */
  readonly place: string;
  readonly globs: readonly string[];
}

/** Which models one user may use. */
export interface ModelAccess {
  /** Places without a glob are left out. */
  readonly deny: readonly PlacedGlobs[];
  readonly allow: PlacedGlobs;
}

/** What one user may do: the role's, with what is the user's own over it. */
export interface Access extends Omit<Role, 'name' | 'models'> {
  readonly role: string;
  readonly models: ModelAccess;
}

/** Whose access is asked for. */
type Holder = Pick<User, 'role' | 'models' | 'limits'>;

/** What came of a role for each user with something of its own, and, by the role itself, for all others. */
const accesses = new WeakMap<Role, WeakMap<Holder | Role, Access>>();

/**
 * What a user may do. Models that the user has of its own take the place of those the role allows; what either denies is
 * denied. Limits of its own take the place of the role's, one by one. A role that the policy does not know may do nothing.
 *
 * @returns the same as before for the same user and a role that is known, neither of which ever changes.
 */
export function accessOf({ roles }: Policy, user: Holder): Access {
  const { role: name, models, limits } = user;
  const role = roles.get(name) ?? { ...common, name, can: [], models: { allow: [], deny: [] } };
  const ofRole = accesses.get(role) ?? new WeakMap<Holder | Role, Access>();
  const holder = models === undefined && limits === undefined ? role : user;
  const access = ofRole.get(holder) ?? newAccess(role, user);
  accesses.set(role, ofRole.set(holder, access));
  return access;
}

function newAccess({ name, ...role }: Role, { models, limits }: Holder): Access {
  return {
    ...role,
    role: name,
    models: modelAccess(`roles.${name}.models`, role.models, models ?? {}),
    limits: { ...role.limits, ...limits },
  };
}

function modelAccess(place: string, ofRole: Required<ModelRules>, { allow, deny = [] }: ModelRules): ModelAccess {
  const denied = [
    { place: `${place}.deny`, globs: ofRole.deny },
    { place: 'user.models.deny', globs: deny },
  ];
  return {
    deny: denied.filter(({ globs }) => globs.length > 0),
    allow:
      allow === undefined
        ? { place: `${place}.allow`, globs: ofRole.allow }
        : { place: 'user.models.allow', globs: allow },
  };
}

/** What the policy says of a route: the one that may be called, or why none may. */
export type Decision = { readonly route: Route } | { readonly refusal: RefusalCode; readonly allow?: string };

/**
 * May somebody with these capabilities call this method on this canonical path? Default deny: only a row of the route
 * table that they cover is a yes (SEC-18).
 */
export function decideRoute(can: readonly Capability[], method: string, path: string): Decision {
  const candidates = routesOf(path);
  if (candidates.length === 0) return { refusal: 'not-found' };
  const route = candidates.find((candidate) => candidate.method === method);
  if (route === undefined) {
    return { refusal: 'method-not-allowed', allow: candidates.map((candidate) => candidate.method).join(', ') };
  }
  if (route.needs === 'denied') return { refusal: 'owner-only' };
  return can.includes(route.needs) ? { route } : { refusal: 'not-permitted' };
}
