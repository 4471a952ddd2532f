import * as z from 'zod/mini';
import { GuardError } from '../errors.ts';
import { type Role, roleNames } from '../policy/policy.ts';
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

const userRecord = z.strictObject({
  id,
  name: z.string().check(z.regex(userName, 'is not a user name')),
  role: z.enum(roleNames as readonly [Role, ...Role[]]),
  /** bcrypt; a user without one signs in by API key alone. */
  passwordHash: z.optional(z.string().check(z.regex(bcryptHash, 'is not a bcrypt hash'))),
  createdAt: time,
  expiresAt: z.optional(time),
  keys: z.array(apiKeyRecord),
});

/** A user as stored: verifiers alone, never a secret. */
export type User = Readonly<Omit<z.output<typeof userRecord>, 'keys'>> & { readonly keys: readonly ApiKeyRecord[] };

/** An API key as stored. */
export type ApiKeyRecord = Readonly<z.output<typeof apiKeyRecord>>;

/**
 * Checks stored users. Strict: what is not understood is an error and not dropped, so that nothing is lost when the
 * records are written again.
 *
 * @throws GuardError `data-damaged`, naming the first place that is wrong.
 */
export function parseUsers(input: unknown): readonly User[] {
  const result = z.array(userRecord).safeParse(input);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new GuardError('data-damaged', `${issue?.path.join('.') ?? 'users'} ${issue?.message ?? 'is not valid'}`);
  }
  const names = new Set<string>();
  for (const { name } of result.data) {
    if (names.has(name.toLowerCase())) throw new GuardError('data-damaged', `user ${name} is there twice`);
    names.add(name.toLowerCase());
  }
  return result.data;
}

/** What is wrong with a user name, in words; undefined when it is good. */
export function userNameProblem(name: string): string | undefined {
  if (userName.test(name)) return undefined;
  return 'A user name is 1 to 64 letters, digits, dots, dashes, underscores or @, and begins with a letter or digit.';
}

/** @throws GuardError `user-unknown`. */
export function findUser(users: readonly User[], name: string): User {
  const user = users.find((candidate) => candidate.name === name);
  if (user === undefined) throw new GuardError('user-unknown', `There is no user ${JSON.stringify(name)}.`);
  return user;
}

/** Whether a name is taken; names that differ in case alone are one name. */
export function isTaken(users: readonly User[], name: string): boolean {
  return users.some((user) => user.name.toLowerCase() === name.toLowerCase());
}

/** The moment for records; replaced in tests. */
const now = (): string => new Date().toISOString();

/** @throws GuardError `user-invalid`, `user-exists` (also for names that differ in case alone). */
export function addUser(
  users: readonly User[],
  name: string,
  role: Role,
  passwordHash: string | undefined,
): readonly User[] {
  const problem = userNameProblem(name);
  if (problem !== undefined) throw new GuardError('user-invalid', problem);
  if (isTaken(users, name)) throw new GuardError('user-exists', `There is a user ${JSON.stringify(name)} already.`);
  const user: User = { id: createId(), name, role, createdAt: now(), keys: [], ...(passwordHash && { passwordHash }) };
  return [...users, user];
}

/** @throws GuardError `user-unknown`. */
export function removeUser(users: readonly User[], name: string): readonly User[] {
  const user = findUser(users, name);
  return users.filter((candidate) => candidate !== user);
}

/** @throws GuardError `user-unknown`. */
export function setPasswordHash(users: readonly User[], name: string, passwordHash: string): readonly User[] {
  const user = findUser(users, name);
  return users.map((candidate) => (candidate === user ? { ...user, passwordHash } : candidate));
}

/**
 * Makes an API key for a user. Its text is in the answer once and nowhere else.
 *
 * @param expiresAt when the key stops working; never when left out.
 * @throws GuardError `user-unknown`.
 */
export function addApiKey(
  users: readonly User[],
  name: string,
  label: string,
  expiresAt?: Date,
): { readonly users: readonly User[]; readonly text: string } {
  const user = findUser(users, name);
  const { id: keyId, text, sha256 } = createApiKey();
  const record: ApiKeyRecord = {
    id: keyId,
    label: label.slice(0, 100),
    sha256,
    createdAt: now(),
    ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
  };
  const changed: User = { ...user, keys: [...user.keys, record] };
  return { users: users.map((candidate) => (candidate === user ? changed : candidate)), text };
}

/** @throws GuardError `key-unknown`. */
export function revokeApiKey(users: readonly User[], keyId: string): readonly User[] {
  if (!users.some((user) => user.keys.some((key) => key.id === keyId))) {
    throw new GuardError('key-unknown', `There is no API key ${JSON.stringify(keyId)}.`);
  }
  return users.map((user) => ({ ...user, keys: user.keys.filter((key) => key.id !== keyId) }));
}

/** Whether a user or key has run out. */
export function isExpired({ expiresAt }: { readonly expiresAt?: string | undefined }, at: number): boolean {
  return expiresAt !== undefined && Date.parse(expiresAt) <= at;
}
