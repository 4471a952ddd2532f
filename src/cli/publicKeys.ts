import { readFile } from 'node:fs/promises';
import { GuardError, systemErrorCode } from '../guard/errors.ts';
import { type AuthorizedKey, formatAuthorizedKeys, parseAuthorizedKeys } from '../guard/identity/authorizedKeys.ts';
import { createPublicKeyRecord, insertPublicKey, removePublicKey } from '../guard/identity/publicKey.ts';
import { addUser, findUser, isTaken, type User } from '../guard/identity/users.ts';
import { inEnglish } from '../guard/message.ts';
import { demandRole } from './roles.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usageError.ts';
import type { UserCommandPorts } from './users.ts';
import { counted, printable } from './words.ts';

/** What comes of keys that are imported. */
export interface ImportedKeys {
  readonly users: readonly User[];
  readonly newKeys: number;
  readonly newUsers: number;
  /** A sentence for each key that was left out. */
  readonly leftOut: readonly string[];
}

/** `ollama-guard user pubkey NAME FILE`. */
export async function publicKeyAdd({ file, terminal }: UserCommandPorts, name: string, path: string): Promise<void> {
  findUser(await file.read(), name);
  const key = createPublicKeyRecord(await textIn(path, terminal));
  await file.update((users) => insertPublicKey(users, name, key));
  terminal.say(`Added public key ${key.id} of ${name}: OLLAMA_AUTH=1 in its environment makes ollama sign in with it.`);
}

/** `ollama-guard user pubkey NAME --list`. */
export async function publicKeyList({ file, terminal }: UserCommandPorts, name: string): Promise<void> {
  for (const { id, label, createdAt } of findUser(await file.read(), name).publicKeys ?? []) {
    terminal.out([id, printable(label), createdAt].join('\t'));
  }
}

/** `ollama-guard user pubkey NAME --remove ID`. */
export async function publicKeyRemove({ file, terminal }: UserCommandPorts, name: string, id: string): Promise<void> {
  await file.update((users) => {
    if (findUser(users, name).publicKeys?.some((key) => key.id === id)) return removePublicKey(users, id);
    throw new GuardError('public-key-unknown', `${name} has no public key ${JSON.stringify(id)}.`);
  });
  terminal.say(`Removed public key ${id} of ${name}.`);
}

/** `ollama-guard user pubkeys import`: all of the file at once, and what is there already stays as it is. */
export async function publicKeysImport(
  { file, policy, terminal }: UserCommandPorts,
  path: string,
  role: string,
): Promise<void> {
  await demandRole(policy, role);
  const { entries, problems } = parseAuthorizedKeys(await textIn(path, terminal));
  let imported = withKeys([], [], role);
  await file.update((users) => {
    imported = withKeys(users, entries, role);
    return imported.users;
  });
  for (const { line, reason } of problems) terminal.say(`Line ${line} was left out. ${inEnglish(reason)}`);
  for (const sentence of imported.leftOut) terminal.say(sentence);
  terminal.say(`Added ${counted(imported.newKeys, 'public key')} and ${counted(imported.newUsers, 'user')}.`);
}

/** `ollama-guard user pubkeys export`. */
export async function publicKeysExport({ file, terminal }: UserCommandPorts): Promise<void> {
  const text = formatAuthorizedKeys(await file.read());
  if (text !== '') terminal.out(text.trimEnd());
}

/** The users with the keys of a file, and with whom it names and nobody has added yet. */
export function withKeys(users: readonly User[], entries: readonly AuthorizedKey[], role: string): ImportedKeys {
  let after = users;
  let newKeys = 0;
  const leftOut: string[] = [];
  for (const { user: name, blob, label } of entries) {
    const holder = after.find(({ publicKeys }) => publicKeys?.some((key) => key.blob === blob));
    if (holder !== undefined && holder.name === name) continue;
    const problem = holder ? `it is of user ${holder.name} already` : nameProblem(after, name);
    if (problem !== undefined) {
      leftOut.push(
        `The key ${JSON.stringify(printable([name, label].filter(Boolean).join(' ')))} was left out: ${problem}.`,
      );
    } else if (name !== undefined) {
      const present = isTaken(after, name) ? after : addUser(after, name, role);
      after = insertPublicKey(present, name, createPublicKeyRecord(`ssh-ed25519 ${blob}`, label));
      newKeys += 1;
    }
  }
  return { users: after, newKeys, newUsers: after.length - users.length, leftOut };
}

function nameProblem(users: readonly User[], name: string | undefined): string | undefined {
  if (name === undefined) return 'no user name stands after it';
  const isWrittenOtherwise = isTaken(users, name) && !users.some((user) => user.name === name);
  return isWrittenOtherwise ? 'there is a user of that name written otherwise' : undefined;
}

/** @throws UsageError for a file that cannot be read. */
async function textIn(path: string, terminal: Terminal): Promise<string> {
  if (path === '-') return terminal.readInput();
  return readFile(path, 'utf8').catch((error: unknown) => {
    throw new UsageError(`${path} cannot be read (${systemErrorCode(error)}).`);
  });
}
