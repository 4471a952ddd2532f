import bcrypt from 'bcryptjs';
import { addApiKey, addUser, type User } from '../../src/guard/identity/users.ts';

/** A bcrypt cost that takes two milliseconds, for tests that count compares and do not time them. */
export const testCost = 4;

/** A person of a test, with the secrets that the guard must never have. */
export interface Person {
  readonly name: string;
  readonly password: string;
  readonly key: string;
  readonly keyId: string;
  /** `Authorization` by password. */
  readonly basic: string;
  /** `Authorization` by API key. */
  readonly bearer: string;
}

/** `Authorization` for a name and password. */
export function basic(name: string, password: string): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
}

/** Adds a user with a password and an API key. */
export function withPerson(
  users: readonly User[],
  name: string,
  role: string,
  password = `${name}-Password-1`,
): { readonly users: readonly User[]; readonly person: Person } {
  const added = addUser(users, name, role, bcrypt.hashSync(password, testCost));
  const { users: keyed, text: key } = addApiKey(added, name, 'test');
  const keyId = key.slice(3, 13);
  return {
    users: keyed,
    person: { name, password, key, keyId, basic: basic(name, password), bearer: `Bearer ${key}` },
  };
}

/** One user of each role: what most tests share a guard with. */
function createTeam() {
  const first = withPerson([], 'vera', 'viewer');
  const second = withPerson(first.users, 'mia', 'member');
  const third = withPerson(second.users, 'adam', 'admin');
  return { users: third.users, vera: first.person, mia: second.person, adam: third.person };
}

export const team = createTeam();
