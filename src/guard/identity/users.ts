import * as z from 'zod/mini';
import { GuardError } from '../errors.ts';
import { limits, modelRules, roleName, storedModelRules } from '../policy/policyDocument.ts';
import { createApiKey, createId } from './apiKey.ts';
import { bcryptHash } from './password.ts';

const userName = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const id = z.string().check(z.regex(/^[a-z2-9]{10}$/, 'is not an id'));
const time = z.iso.datetime('is not a time such as 2026-12-31T00:00:00.000Z');

const apiKeyRecord = z.strictObject({
  id,
  label: z.string().check(z.maxLength(100)),
  sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/, 'is not a SHA-256 digest')),
  createdAt: time,
  expiresAt: z.optional(time),
});

const inviteRecord = z.strictObject({
  id,
  /** Of the whole code, its id included. */
  sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/, 'is not a SHA-256 digest')),
  createdAt: time,
  expiresAt: time,
  /** When the API key that it is exchanged for stops working; never when left out. */
  keyExpiresAt: z.optional(time),
});

/** A public key in the form of OpenSSH, of the one type that the ollama command line has (RFC 8709). */
const publicKeyRecord = z.strictObject({
  id,
  label: z.string().check(z.maxLength(100)),
  /** The base64 after `ssh-ed25519`: 51 bytes, so without padding. */
  blob: z.string().check(z.regex(/^AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}$/, 'is not an ed25519 public key')),
  createdAt: time,
  expiresAt: z.optional(time),
});

const role = z.string().check(z.regex(roleName, 'is not the name of a role'));

const passwordHash = z.string().check(z.regex(bcryptHash, 'is not a bcrypt hash'));

const userRecord = z.strictObject({
  id,
  name: z.string().check(z.regex(userName, 'is not a user name')),
  /** The policy says what it may do; one that the policy does not know may nothing. */
  role,
  /** bcrypt; a user without one signs in by a key alone. */
  passwordHash: z.optional(passwordHash),
  createdAt: time,
  expiresAt: z.optional(time),
  /** Switched off by the owner: keeps everything and is let in nowhere. */
  disabled: z.optional(z.literal(true)),
  keys: z.array(apiKeyRecord),
  invites: z.optional(z.array(inviteRecord)),
  publicKeys: z.optional(z.array(publicKeyRecord)),
  /** Over what the role says; see `accessOf`. */
  models: z.optional(storedModelRules),
  limits: z.optional(limits),
});

/** A user as stored: verifiers alone, never a secret. */
export type User = Readonly<Omit<z.output<typeof userRecord>, 'keys' | 'invites' | 'publicKeys'>> & {
  readonly keys: readonly ApiKeyRecord[];
  /** Those that nobody has redeemed yet. */
  readonly invites?: readonly InviteRecord[] | undefined;
  readonly publicKeys?: readonly PublicKeyRecord[] | undefined;
};

/** A public key as stored. */
export type PublicKeyRecord = Readonly<z.output<typeof publicKeyRecord>>;

/** An invite as stored. */
export type InviteRecord = Readonly<z.output<typeof inviteRecord>>;

/** An API key as stored. */
export type ApiKeyRecord = Readonly<z.output<typeof apiKeyRecord>>;

/**
 * Checks stored users. Strict: what is not understood is an error and not dropped, so that nothing is lost when the
 * records are written again.
 *
 * @throws GuardError `data-damaged`, naming the first place that is wrong.
 */
export function parseUsers(input: unknown): readonly User[] {
  const users = checked(z.array(userRecord), input);
  const names = new Set<string>();
  const ids = new Set<string>();
  for (const user of users) {
    const name = user.name.toLowerCase();
    if (names.has(name) || ids.has(user.id)) {
      throw new GuardError('data-damaged', 'user {name} is there twice', { args: { name: user.name } });
    }
    names.add(name);
    ids.add(user.id);
  }
  return users;
}

function checked<Output>(schema: z.ZodMiniType<Output>, input: unknown): Output {
  const { success, data, error } = schema.safeParse(input);
  if (success) return data;
  const [issue] = error.issues;
  throw new GuardError('data-damaged', '{place} {problem}', {
    args: { place: issue?.path.join('.') || 'users', problem: issue?.message ?? 'is not valid' },
  });
}

/** What is wrong with a user name, in words; undefined when it is good. */
export function userNameProblem(name: string): string | undefined {
  if (userName.test(name)) return undefined;
  return 'A user name is 1 to 64 letters, digits, dots, dashes, underscores or @, and begins with a letter or digit.';
}

/** @throws GuardError `user-unknown`. */
export function findUser(users: readonly User[], name: string): User {
  const namesake = namesakeOf(users, name);
  if (namesake?.name === name) return namesake;
  const args = { name: JSON.stringify(name) };
  throw namesake === undefined
    ? new GuardError('user-unknown', 'There is no user {name}.', { args })
    : new GuardError('user-unknown', 'There is no user {name}, but one who is written {other}.', {
        args: { ...args, other: JSON.stringify(namesake.name) },
      });
}

/** The user of a name, in any letter case: names that differ in that alone are one name. */
export function namesakeOf(users: readonly User[], name: string): User | undefined {
  return users.find((user) => user.name.toLowerCase() === name.toLowerCase());
}

/** Whether a name is taken. */
export function isTaken(users: readonly User[], name: string): boolean {
  return namesakeOf(users, name) !== undefined;
}

/** The moment for records; replaced in tests. */
const now = (): string => new Date().toISOString();

/**
 * Makes the record of a new user.
 *
 * @throws GuardError `user-invalid`.
 */
export function createUser(name: string, role: string, passwordHash?: string): User {
  const problem = userNameProblem(name);
  if (problem !== undefined) throw new GuardError('user-invalid', problem);
  return { id: createId(), name, role, createdAt: now(), keys: [], ...(passwordHash && { passwordHash }) };
}

/** Of a name that is there to be let in by nothing. */
const leastRole = 'viewer';

/**
 * Makes the record of a name that is there to be shut out: of somebody who comes by JSON Web Token.
 *
 * @throws GuardError `user-invalid`.
 */
export function createBarredUser(name: string): User {
  return { ...createUser(name, leastRole), disabled: true };
}

/** @throws GuardError `user-exists` (also for names that differ in case alone). */
export function insertUser(users: readonly User[], user: User): readonly User[] {
  const { name } = namesakeOf(users, user.name) ?? {};
  if (name === undefined) return [...users, user];
  throw new GuardError('user-exists', 'There is a user {name} already.', { args: { name: JSON.stringify(name) } });
}

/** @throws GuardError `user-invalid`, `user-exists`. */
export function addUser(users: readonly User[], name: string, role: string, passwordHash?: string): readonly User[] {
  return insertUser(users, createUser(name, role, passwordHash));
}

/** @throws GuardError `user-unknown`. */
export function removeUser(users: readonly User[], name: string): readonly User[] {
  const user = findUser(users, name);
  return users.filter((candidate) => candidate !== user);
}

const userChange = z.strictObject({
  role: z.optional(role),
  models: z.optional(z.nullable(modelRules)),
  limits: z.optional(z.nullable(limits)),
  passwordHash: z.optional(passwordHash),
  expiresAt: z.optional(z.nullable(time)),
  disabled: z.optional(z.nullable(z.literal(true))),
});

/** What of a user's record is changed in place; null takes a field away. */
export type UserChange = Readonly<z.output<typeof userChange>>;

/** @throws GuardError `user-unknown`, and `data-damaged` for a change of anything else, such as the name. */
export function changeUser(users: readonly User[], name: string, change: UserChange): readonly User[] {
  const user = findUser(users, name);
  const fields = Object.entries({ ...user, ...checked(userChange, change) }).filter(([, value]) => value !== null);
  const changed = Object.fromEntries(fields) as unknown as User;
  return users.map((candidate) => (candidate === user ? changed : candidate));
}

/** @throws GuardError `user-unknown`. */
export function setPasswordHash(users: readonly User[], name: string, passwordHash: string): readonly User[] {
  return changeUser(users, name, { passwordHash });
}

/**
 * Makes an API key. Its text is in the answer once and nowhere else; the record is what is kept.
 *
 * @param expiresAt when the key stops working; never when left out.
 */
export function createApiKeyRecord(
  label: string,
  expiresAt?: Date,
): { readonly record: ApiKeyRecord; readonly text: string } {
  const { id: keyId, text, sha256 } = createApiKey();
  const record: ApiKeyRecord = {
    id: keyId,
    label: label.slice(0, 100),
    sha256,
    createdAt: now(),
    ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
  };
  return { record, text };
}

/** @throws GuardError `user-unknown`. */
export function insertApiKey(users: readonly User[], name: string, record: ApiKeyRecord): readonly User[] {
  const user = findUser(users, name);
  const changed: User = { ...user, keys: [...user.keys, record] };
  return users.map((candidate) => (candidate === user ? changed : candidate));
}

/**
 * Makes an API key for a user.
 *
 * @throws GuardError `user-unknown`.
 */
export function addApiKey(
  users: readonly User[],
  name: string,
  label: string,
  expiresAt?: Date,
): { readonly users: readonly User[]; readonly text: string } {
  const { record, text } = createApiKeyRecord(label, expiresAt);
  return { users: insertApiKey(users, name, record), text };
}

/** @throws GuardError `key-unknown`. */
export function revokeApiKey(users: readonly User[], keyId: string): readonly User[] {
  if (!users.some((user) => user.keys.some((key) => key.id === keyId))) {
    throw new GuardError('key-unknown', 'There is no API key {id}.', { args: { id: JSON.stringify(keyId) } });
  }
  return users.map((user) => ({ ...user, keys: user.keys.filter((key) => key.id !== keyId) }));
}

/** Whether a user or key has run out. */
export function isExpired({ expiresAt }: { readonly expiresAt?: string | undefined }, at: number): boolean {
  return expiresAt !== undefined && Date.parse(expiresAt) <= at;
}

/** Why a user is let in nowhere, whatever the credential; undefined when nothing stands in the way. */
export function whyBarred(user: User, at: number): 'disabled' | 'expired' | undefined {
  if (user.disabled) return 'disabled';
  return isExpired(user, at) ? 'expired' : undefined;
}
