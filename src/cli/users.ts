import { GuardError } from '../guard/errors.ts';
import { bcryptHash, checkPassword, generatePassword } from '../guard/identity/password.ts';
import {
  addApiKey,
  addUser,
  findUser,
  isExpired,
  removeUser,
  revokeApiKey,
  setPasswordHash,
  type User,
} from '../guard/identity/users.ts';
import { readPassword, type Terminal } from './terminal.ts';
import type { UsersFile } from './usersFile.ts';

/** What commands on users work with. */
export interface UserCommandPorts {
  readonly file: UsersFile;
  readonly terminal: Terminal;
  hashPassword(password: string): Promise<string>;
}

/** Where a password comes from: `generate` prints a new one, `stdin` reads one, `hash` reads a bcrypt hash. */
export type PasswordSource = 'generate' | 'stdin' | 'hash';

/** `ollama-guard user add`. */
export async function userAdd(
  ports: UserCommandPorts,
  name: string,
  role: string,
  source: PasswordSource,
): Promise<void> {
  // Tried before the slow hash, so that a bad name is told at once; the update tries again under its lock.
  addUser(await ports.file.read(), name, role, undefined);
  const password = await newPassword(ports, source);
  await ports.file.update((current) => addUser(current, name, role, password.hash));
  ports.terminal.say(`Added ${name} as ${role}.`);
  showOnce(ports.terminal, 'Password', password.generated);
}

/** `ollama-guard user passwd`. */
export async function userPasswd(ports: UserCommandPorts, name: string, source: PasswordSource): Promise<void> {
  findUser(await ports.file.read(), name);
  const password = await newPassword(ports, source);
  await ports.file.update((current) => setPasswordHash(current, name, password.hash));
  ports.terminal.say(`Changed the password of ${name}.`);
  showOnce(ports.terminal, 'Password', password.generated);
}

/** `ollama-guard user remove`. */
export async function userRemove({ file, terminal }: UserCommandPorts, name: string): Promise<void> {
  await file.update((users) => removeUser(users, name));
  terminal.say(`Removed ${name}.`);
}

/** `ollama-guard user list`. */
export async function userList({ file, terminal }: UserCommandPorts, json: boolean): Promise<void> {
  const now = Date.now();
  const users = (await file.read()).map(({ name, role, passwordHash, keys, invites = [], createdAt, expiresAt }) => ({
    name,
    role,
    password: passwordHash !== undefined,
    keys: keys.length,
    /** Those that can still be used. */
    invites: invites.filter((invite) => !isExpired(invite, now)).length,
    createdAt,
    ...(expiresAt && { expiresAt }),
  }));
  if (json) terminal.out(JSON.stringify(users, undefined, 2));
  else
    for (const { name, role, keys } of users)
      terminal.out(`${name}\t${role}\t${keys} API ${keys === 1 ? 'key' : 'keys'}`);
}

/** `ollama-guard key add`. */
export async function keyAdd(
  { file, terminal }: UserCommandPorts,
  name: string,
  label: string,
  lifetimeMs: number | undefined,
): Promise<void> {
  let text = '';
  const expiresAt = lifetimeMs === undefined ? undefined : new Date(Date.now() + lifetimeMs);
  await file.update((users) => {
    const added = addApiKey(users, name, label, expiresAt);
    text = added.text;
    return added.users;
  });
  showOnce(terminal, `API key of ${name}`, text);
}

/** `ollama-guard key list`. */
export async function keyList(
  { file, terminal }: UserCommandPorts,
  name: string | undefined,
  json: boolean,
): Promise<void> {
  const users = await file.read();
  const chosen = name === undefined ? users : [findUser(users, name)];
  const keys = chosen.flatMap((user: User) =>
    user.keys.map(({ id, label, createdAt, expiresAt }) => ({
      id,
      user: user.name,
      label,
      createdAt,
      ...(expiresAt && { expiresAt }),
    })),
  );
  if (json) terminal.out(JSON.stringify(keys, undefined, 2));
  else for (const key of keys) terminal.out([key.id, key.user, key.label, key.expiresAt ?? 'never expires'].join('\t'));
}

/** `ollama-guard key revoke`. */
export async function keyRevoke({ file, terminal }: UserCommandPorts, id: string): Promise<void> {
  await file.update((users) => revokeApiKey(users, id));
  terminal.say(`Revoked API key ${id}.`);
}

async function newPassword(
  { terminal, hashPassword }: UserCommandPorts,
  source: PasswordSource,
): Promise<{ readonly hash: string; readonly generated?: string }> {
  if (source === 'generate') {
    const generated = generatePassword();
    return { hash: await hashPassword(generated), generated };
  }
  const text = await readPassword(terminal);
  if (source === 'stdin') {
    checkPassword(text);
    return { hash: await hashPassword(text) };
  }
  if (bcryptHash.test(text)) return { hash: text };
  throw new GuardError('password-invalid', 'This is no bcrypt hash ($2a$, $2b$ or $2y$) of cost 4 to 15.');
}

/** A secret, alone on its line where a script takes it, and said to be shown once where a person reads. */
function showOnce(terminal: Terminal, what: string, secret: string | undefined): void {
  if (secret === undefined) return;
  terminal.say(`${what}, shown this once:`);
  terminal.out(secret);
}
