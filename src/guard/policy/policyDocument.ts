import * as z from 'zod/mini';
import { GuardError } from '../errors.ts';
import type { Capability } from '../routes.ts';
import { parseDuration } from '../share/duration.ts';
import { canName } from './modelGlob.ts';
import { resolvePolicy } from './policy.ts';

/** What a route lets its caller do; roles are sets of these. */
export const capabilities = ['read', 'infer', 'manage'] as const satisfies readonly Capability[];

/** A name of a role: `member`, `ci-bots`. */
export const roleName = /^[a-z][a-z0-9-]{0,31}$/;

/** What is longer bounds nothing: Ollama's runner counts in 32 bits. */
export const maxOutputTokens = 2 ** 31 - 1;

const count = z.int().check(z.positive('must be a whole number above 0'));

/** As it is stored, also by what came before: a glob that names no model is no reason to read nothing at all. */
const storedGlob = z.string().check(z.regex(/^[\w.:/@*?-]{1,256}$/));

/**
 * What models are named by. What could name none is refused, because a model that it was to deny would be allowed: a
 * digest or a scheme, an empty name or tag, `:local`, which Ollama cuts off, and a host without a model.
 */
export const modelGlob = z
  .string()
  .check(
    z.regex(
      /^(?!.*(?::\/|\/\/|:local$))(?![:/])[\w.:/*?-]{0,255}[\w.*?-]$/i,
      'must be a model name such as llama3.2 or qwen*, in which * stands for anything',
    ),
    z.refine(canName, { error: 'must name a model: what is left open is a *, as in hf.co/team/*' }),
  );

const rulesOf = (glob: typeof modelGlob) =>
  z.strictObject({ allow: z.exactOptional(z.array(glob)), deny: z.exactOptional(z.array(glob)) });

/** Which models: one that `deny` names is denied, then one that `allow` names is allowed, and no other is. */
export const modelRules = rulesOf(modelGlob);

/** The same as they are stored with a user. */
export const storedModelRules = rulesOf(storedGlob);

/** How much. Tokens are those of the prompt and of the answer. */
export const limits = z.strictObject({
  requestsPerMinute: z.exactOptional(count),
  tokensPerMinute: z.exactOptional(count),
  tokensPerDay: z.exactOptional(count),
  /** Under way and waiting. */
  concurrentRequests: z.exactOptional(count),
});

const duration = z.string({ error: 'must be a text in double quotes, such as "5m"' }).check(
  z.refine((text) => text === '0' || parseDuration(text) !== undefined, {
    error: 'must be a time such as 30s, 5m or 1h',
  }),
);

/** What a request may ask for. */
const clamps = z.strictObject({
  /** What becomes of a request that asks for more: it gets as much as is allowed, or it is refused. */
  excess: z.exactOptional(z.enum(['clamp', 'refuse'])),
  /** How long a model may be asked to stay in memory. A `min` above 0 also keeps one from unloading it. */
  keepAlive: z.exactOptional(z.strictObject({ min: z.exactOptional(duration), max: z.exactOptional(duration) })),
  /** Of `num_ctx`. */
  contextTokens: z.exactOptional(count),
  /** Of `num_predict`, `max_tokens`, `max_completion_tokens` and `max_output_tokens`. */
  outputTokens: z.exactOptional(count.check(z.lte(maxOutputTokens))),
  /** How many images one request may hold, and the bytes of all of them as they are sent. */
  images: z.exactOptional(z.int().check(z.nonnegative('must be 0 or more'))),
  imageBytes: z.exactOptional(count),
  /** The bytes of one blob that is uploaded. */
  uploadBytes: z.exactOptional(count),
  /** The members of `options` that may be there; all of them unless given. */
  options: z.exactOptional(
    z.array(
      z
        .string()
        .check(z.regex(/^[a-z][a-z0-9_]{0,63}$/, 'must be an option of Ollama in lower case, such as temperature')),
    ),
  ),
});

const registry = z
  .string()
  .check(z.regex(/^[a-z0-9.-]{1,253}(:\d{1,5})?$/, 'must be a registry such as registry.ollama.ai, in lower case'));

const role = z.strictObject({
  /** What it may do; see the route table. */
  can: z.exactOptional(z.array(z.enum(capabilities))),
  models: z.exactOptional(modelRules),
  /** Whether it may use models that run on ollama.com, on the owner's account, and tools that search the web there. */
  cloud: z.exactOptional(z.boolean()),
  /** Where it may pull models from, and push them to. */
  registries: z.exactOptional(z.array(registry)),
  clamps: z.exactOptional(clamps),
  /** Of each user of the role, and of each API key of such a user. */
  limits: z.exactOptional(limits),
  limitsPerKey: z.exactOptional(limits),
  /** Whose requests wait for nobody of a lower one. */
  priority: z.exactOptional(z.int().check(z.gte(-100), z.lte(100))),
  /** The share of a user among those of the same priority who wait. */
  weight: z.exactOptional(z.int().check(z.gte(1), z.lte(100))),
});

const queue = z.strictObject({
  /** How many requests Ollama is given at once. */
  concurrency: z.exactOptional(z.int().check(z.gte(1), z.lte(1_024))),
  /** How many may wait, and for how long. */
  length: z.exactOptional(z.int().check(z.gte(1), z.lte(10_000))),
  maxWait: z.exactOptional(duration),
});

/** Whose algorithms are asymmetric: an issuer's key set is public (RFC 8725 §3.1). */
const tokenAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

/** Whether an address is one of this computer that is not encrypted. */
export function isLoopbackHttp({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && /^(127\.0\.0\.1|\[::1\]|localhost)$/.test(hostname);
}

const httpsUrl = z.string().check(
  z.refine(
    (value) => {
      const url = URL.parse(value);
      if (url === null || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
        return false;
      return url.protocol === 'https:' || isLoopbackHttp(url);
    },
    { error: 'must be an https address such as https://login.example.org, without credentials or a query' },
  ),
);

const claim = z.string().check(z.regex(/^[\w.:/@-]{1,128}$/, 'must be the name of a claim'));

/** What a claim may hold; JavaScript puts names that are numbers before all others, and the order of roles decides. */
const claimValue = z
  .string()
  .check(z.regex(/^(?!(?:0|[1-9]\d{0,9})$)/, 'must not be a number, because those would come before all others'));

/** Somebody whose JSON Web Tokens are taken (RFC 7519, OpenID Connect Discovery 1.0). */
const issuerFields = z.strictObject({
  issuer: httpsUrl,
  /** Of which a token must name one. */
  audience: z.array(z.string().check(z.minLength(1), z.maxLength(256))).check(z.minLength(1)),
  /** Left out: as the issuer's discovery document says. */
  jwksUri: z.exactOptional(httpsUrl),
  algorithms: z.exactOptional(z.array(z.enum(tokenAlgorithms)).check(z.minLength(1))),
  /** How far the clocks may be apart, in seconds. */
  clockToleranceSeconds: z.exactOptional(z.int().check(z.gte(0), z.lte(300))),
  claims: z.exactOptional(
    z.strictObject({
      /** Names the user; `sub` unless given. */
      user: z.exactOptional(claim),
      /** Holds a name, or several, that `roles` gives a role for. */
      role: z.exactOptional(claim),
      /** Holds globs of models, which take the place of those that the role allows. */
      models: z.exactOptional(claim),
    }),
  ),
  /** From what the role claim holds to a role here; the first in this order that the token has counts. */
  roles: z.exactOptional(z.record(claimValue, z.string().check(z.regex(roleName, 'must be the name of a role')))),
  /** Of a token that `roles` says nothing of; without it such a token lets nobody in. */
  defaultRole: z.exactOptional(z.string().check(z.regex(roleName, 'must be the name of a role'))),
});

const issuer = issuerFields.check(
  z.refine(({ roles, claims }) => roles === undefined || claims?.role !== undefined, {
    error: 'must say in claims.role which claim holds the names that roles has',
  }),
  z.refine(({ roles, defaultRole }) => roles !== undefined || defaultRole !== undefined, {
    error: 'must have a defaultRole or roles, or it lets nobody in',
  }),
);

/** The policy as it is written: only what differs from the defaults. */
export const policyDocument = z.strictObject({
  roles: z.exactOptional(
    z.record(z.string().check(z.regex(roleName, 'must be a lower-case name such as ci-bots')), role),
  ),
  queue: z.exactOptional(queue),
  issuers: z.exactOptional(
    z.array(issuer).check(
      z.maxLength(16),
      z.refine((all) => new Set(all.map(({ issuer: name }) => name)).size === all.length, {
        error: 'must name each issuer once',
      }),
    ),
  ),
});

/** The policy as it is written. */
export type PolicyDocument = Readonly<z.output<typeof policyDocument>>;

/** See `modelRules`. */
export type ModelRules = Readonly<z.output<typeof modelRules>>;

/** See `limits`. */
export type Limits = Readonly<z.output<typeof limits>>;

/** See `clamps`. */
export type Clamps = Readonly<z.output<typeof clamps>>;

/** A role as it is written. */
export type RoleDocument = Readonly<z.output<typeof role>>;

/** See `issuer`. */
export type TokenIssuer = Readonly<z.output<typeof issuer>>;

/**
 * Checks a policy.
 *
 * @throws GuardError `policy-invalid`, naming the first place that is wrong and what it must be.
 */
export function parsePolicy(input: unknown): PolicyDocument {
  const proto = protoIn(input);
  if (proto !== undefined) {
    throw new GuardError('policy-invalid', '{place}: {problem}.', {
      args: { place: proto.join('.'), problem: 'is not known here' },
    });
  }
  const { success, data, error } = policyDocument.safeParse(input, { error: problemOf });
  if (success) return withSensibleTimes(data);
  const [issue] = error.issues;
  const path = issue?.code === 'unrecognized_keys' ? [...issue.path, ...issue.keys.slice(0, 1)] : issue?.path;
  throw new GuardError('policy-invalid', '{place}: {problem}.', {
    args: { place: path?.join('.') || 'policy', problem: issue?.message ?? 'is not valid' },
  });
}

/** Where a key is `__proto__`, which the schema would leave out without a word. */
function protoIn(input: unknown): readonly string[] | undefined {
  if (typeof input !== 'object' || input === null) return undefined;
  if (Object.hasOwn(input, '__proto__')) return ['__proto__'];
  for (const [key, value] of Object.entries(input)) {
    const found = protoIn(value);
    if (found !== undefined) return [key, ...found];
  }
  return undefined;
}

/** Where one of the two is not written, the role has its own: a pair is wrong or right once the policy is complete. */
function withSensibleTimes(policy: PolicyDocument): PolicyDocument {
  for (const [name, { clamps }] of resolvePolicy(policy).roles) {
    const { min = '0', max } = clamps.keepAlive ?? {};
    if (max === undefined || (parseDuration(min) ?? 0) <= (parseDuration(max) ?? 0)) continue;
    const place = `roles.${name}.clamps.keepAlive`;
    throw new GuardError('policy-invalid', '{place}: min {min} is longer than max {max}; write both.', {
      args: { place, min, max },
    });
  }
  return policy;
}

/** What is wrong, where the schema has no words of its own. */
function problemOf(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return 'is not known here';
    case 'invalid_key':
      return issue.issues[0]?.message ?? 'is not valid';
    case 'invalid_value':
      return `must be one of ${issue.values.join(', ')}`;
    case 'too_small':
      return hasLength(issue.origin) ? 'must not be empty' : `must be ${issue.minimum} or more`;
    case 'too_big':
      return hasLength(issue.origin) ? `must be ${issue.maximum} long at most` : `must be ${issue.maximum} or less`;
    case 'invalid_type':
      return issue.input === undefined ? 'must be there' : `must be ${kinds[issue.expected] ?? issue.expected}`;
    default:
      return 'is not valid';
  }
}

function hasLength(origin: string): boolean {
  return origin === 'string' || origin === 'array';
}

/** By what zod calls them. */
const kinds: Readonly<Record<string, string>> = {
  object: 'an object in { }',
  record: 'an object in { }',
  array: 'a list in [ ]',
  string: 'a text in double quotes',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a whole number',
};
