import { GuardError } from '../guard/errors.ts';
import { bcryptHash, checkPassword, generatePassword } from '../guard/identity/password.ts';
import {
  addApiKey,
  addUser,
  changeUser,
  createBarredUser,
  findUser,
  insertUser,
  isExpired,
  isTaken,
  removeUser,
  revokeApiKey,
  setPasswordHash,
  type User,
} from '../guard/identity/users.ts';
import { counted } from '../guard/share/counted.ts';
import { type AccessFlags, changeOf } from './accessFlags.ts';
import { accessWords, expiryWords } from './accessWords.ts';
import type { PolicyFile } from './policyFile.ts';
import { demandRole } from './roles.ts';
import { readPassword, type Terminal } from './terminal.ts';
import { UsageError } from './usageError.ts';
import type { UsersFile } from './usersFile.ts';
import { barredWords, lettingIn, noUserYet } from './words.ts';

/** What commands on users work with. */
export interface UserCommandPorts {
  readonly file: UsersFile;
  readonly policy: PolicyFile;
  readonly terminal: Terminal;
  hashPassword(password: string): Promise<string>;
}

/** Where a password comes from: `generate` prints a new one, `stdin` reads one, `hash` reads a bcrypt hash. */
export type PasswordSource = 'generate' | 'stdin' | 'hash';

/**
 * `ollama-guard user add`.
 *
 * @param source `none` for a user who signs in otherwise.
 */
export async function userAdd(
  ports: UserCommandPorts,
  name: string,
  flags: AccessFlags & { readonly role: string },
  source: PasswordSource | 'none',
): Promise<void> {
  const { file, policy, terminal } = ports;
  const { role } = flags;
  await demandRole(policy, role);
  const added = (users: readonly User[], passwordHash?: string) =>
    changeUser(addUser(users, name, role, passwordHash), name, changeOf({}, flags, Date.now()));
  // Tried before the slow hash, so that a bad name is told at once; the update tries again under its lock.
  added(await file.read());
  const password = source === 'none' ? undefined : await newPassword(ports, source);
  await file.update((users) => added(users, password?.hash));
  terminal.say(`Added ${name} as ${role}.`);
  if (source === 'none') terminal.say(`Give it an API key: ollama-guard key add ${name}`);
  showOnce(terminal, 'Password', password?.generated);
}

/** `ollama-guard user set`. */
export async function userSet(
  { file, policy, terminal }: UserCommandPorts,
  name: string,
  flags: AccessFlags,
): Promise<void> {
  if (Object.keys(changeOf({}, flags, 0)).length === 0) {
    throw new UsageError(
      'Say what to change: --role, --models, --deny-models, --all-models, --expires, --no-expiry, --rpm, ' +
        '--tokens-per-minute, --tokens-per-day or --concurrent.',
    );
  }
  await demandRole(policy, flags.role);
  const now = Date.now();
  const users = await file.update((before) => changeUser(before, name, changeOf(findUser(before, name), flags, now)));
  const user = findUser(users, name);
  terminal.say(`${name} is ${[user.role, ...accessWords(user, now)].join('; ')}.`);
}

/**
 * `ollama-guard user disable`. Where people come by JSON Web Token, a name that is in no list can be somebody's: its
 * record then is there to be disabled.
 */
export async function userDisable({ file, policy, terminal }: UserCommandPorts, name: string): Promise<void> {
  const isListed = isTaken(await file.read(), name);
  const mayHaveToken = !isListed && ((await policy.read())?.issuers ?? []).length > 0;
  let isNew = false;
  await file.update((users) => {
    isNew = mayHaveToken && !isTaken(users, name);
    return isNew ? insertUser(users, createBarredUser(name)) : changeUser(users, name, { disabled: true });
  });
  terminal.say(
    isNew
      ? `Disabled the name ${name}: it was in no list of users, and no token of that name is let in from now on.`
      : `Disabled ${name}.`,
  );
}

/** `ollama-guard user enable`. */
export async function userEnable({ file, terminal }: UserCommandPorts, name: string): Promise<void> {
  await file.update((users) => changeUser(users, name, { disabled: null }));
  terminal.say(`Enabled ${name}.`);
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
  const users = await file.read();
  if (json)
    terminal.out(
      JSON.stringify(
        users.map((user) => listed(user, now)),
        undefined,
        2,
      ),
    );
  else if (users.length === 0) terminal.say(noUserYet);
  else for (const user of users) terminal.out(line(user, now));
}

/** A user without what it is verified by. */
function listed(user: User, now: number) {
  const { name, role, passwordHash, keys, publicKeys = [], invites = [], createdAt, expiresAt, models, limits } = user;
  return {
    name,
    role,
    password: passwordHash !== undefined,
    keys: keys.length,
    publicKeys: publicKeys.length,
    /** Those that can still be used. */
    invites: invites.filter((invite) => !isExpired(invite, now)).length,
    createdAt,
    ...(expiresAt && { expiresAt }),
    disabled: user.disabled === true,
    ...(models && { models }),
    ...(limits && { limits }),
  };
}

function line(user: User, now: number): string {
  const { name, role, keys, publicKeys = [] } = user;
  const publicKeyWords = publicKeys.length === 0 ? [] : [counted(publicKeys.length, 'public key')];
  return [name, role, counted(keys.length, 'API key'), ...publicKeyWords, ...accessWords(user, now)].join('\t');
}

/**
 * `ollama-guard key add`.
 *
 * @throws GuardError when the user is let in nowhere, and what storing throws.
 */
export async function keyAdd(
  { file, terminal }: UserCommandPorts,
  name: string,
  label: string,
  lifetimeMs: number | undefined,
): Promise<void> {
  let text = '';
  const now = Date.now();
  const expiresAt = lifetimeMs === undefined ? undefined : new Date(now + lifetimeMs);
  await file.update((users) => {
    const user = findUser(users, name);
    const barred = barredWords(user, now);
    if (barred !== undefined) {
      throw new GuardError('user-invalid', `${barred} No key lets ${name} in until you run: ${lettingIn(user)}`);
    }
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
  else if (keys.length === 0) terminal.say(noKeyYet(chosen));
  else for (const key of keys) terminal.out([key.id, key.user, key.label, expiryWords(key, Date.now())].join('\t'));
}

function noKeyYet([user, ...others]: readonly User[]): string {
  if (user === undefined) return noUserYet;
  return `There is no API key yet. Make one: ollama-guard key add ${others.length === 0 ? user.name : 'NAME'}`;
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
