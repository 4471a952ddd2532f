import { readFile } from 'node:fs/promises';
import { GuardError, systemErrorCode } from '../guard/errors.ts';
import { type AuthorizedKey, formatAuthorizedKeys, parseAuthorizedKeys } from '../guard/identity/authorizedKeys.ts';
import { editOf, type KeyImport, type LeftOut, planKeyImport } from '../guard/identity/keyImport.ts';
import { createPublicKeyRecord, insertPublicKey, removePublicKey } from '../guard/identity/publicKey.ts';
import { applyEdit } from '../guard/identity/userEdit.ts';
import { findUser } from '../guard/identity/users.ts';
import { inEnglish } from '../guard/message.ts';
import { counted } from '../guard/share/counted.ts';
import { oneLine } from '../guard/share/quote.ts';
import { demandRole } from './roles.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usageError.ts';
import type { UserCommandPorts } from './users.ts';

/** `ollama-guard user pubkey NAME FILE`. */
export async function publicKeyAdd({ file, terminal }: UserCommandPorts, name: string, path: string): Promise<void> {
  findUser(await file.read(), name);
  const key = createPublicKeyRecord(await textIn(path, terminal));
  await file.update((users) => insertPublicKey(users, name, key));
  terminal.say(`Added public key ${key.id} of ${name}: OLLAMA_AUTH=1 in its environment makes ollama sign in with it.`);
}

/** `ollama-guard user pubkey NAME --list`. */
export async function publicKeyList({ file, terminal }: UserCommandPorts, name: string): Promise<void> {
  const { publicKeys = [] } = findUser(await file.read(), name);
  if (publicKeys.length === 0) {
    terminal.say(`${name} has no public key yet. Add one: ollama-guard user pubkey ${name} FILE`);
  }
  for (const { id, label, createdAt } of publicKeys) {
    terminal.out([id, oneLine(label), createdAt].join('\t'));
  }
}

/** `ollama-guard user pubkey NAME --remove ID`. */
export async function publicKeyRemove({ file, terminal }: UserCommandPorts, name: string, id: string): Promise<void> {
  await file.update((users) => {
    if (findUser(users, name).publicKeys?.some((key) => key.id === id)) return removePublicKey(users, id);
    const sentence = `${name} has no public key ${JSON.stringify(id)}. See: ollama-guard user pubkey ${name} --list`;
    throw new GuardError('public-key-unknown', sentence);
  });
  terminal.say(`Removed public key ${id} of ${name}.`);
}

/** A file with more lines that are none, and no line that is one, is another file. */
const maxWrongLines = 3;

/** A key and the line that it stands in, from 1. */
interface KeyOfLine extends AuthorizedKey {
  readonly line: number;
}

/** `ollama-guard user pubkeys import`: all of the file at once, and what is there already stays as it is. */
export async function publicKeysImport(
  { file, policy, terminal }: UserCommandPorts,
  path: string,
  role: string,
): Promise<void> {
  await demandRole(policy, role);
  const { entries, problems } = linesOf(await textIn(path, terminal));
  if (entries.length === 0 && problems.length > maxWrongLines) {
    throw new UsageError(`${path} holds no public keys: their lines begin with ssh-ed25519.`);
  }
  let plan: KeyImport<KeyOfLine> = planKeyImport([], []);
  await file.update((users) => {
    plan = planKeyImport(users, entries);
    return applyEdit(users, editOf(plan, role));
  });
  const { newUsers, newKeys, known, leftOut } = plan;
  const omitted = [
    ...problems.map(({ line, reason }) => ({ line, words: `. ${inEnglish(reason)}` })),
    ...leftOut.map((one) => ({ line: one.entry.line, words: `: ${reasonWords(one)}` })),
  ].sort((one, other) => one.line - other.line);
  for (const { line, words } of omitted) terminal.say(`Line ${line} was left out${words}`);
  for (const name of newUsers) terminal.say(`${name} is new, as ${role}.`);
  if (known > 0) terminal.say(`${counted(known, 'key')} ${known === 1 ? 'was' : 'were'} there already.`);
  terminal.say(`Added ${counted(newKeys.length, 'public key')} and ${counted(newUsers.length, 'user')}.`);
}

/** What is in a file of public keys, read line by line. */
function linesOf(text: string) {
  const lines = text.split('\n').map(parseAuthorizedKeys);
  return {
    entries: lines.flatMap(({ entries }, i) => entries.map((entry): KeyOfLine => ({ ...entry, line: i + 1 }))),
    problems: lines.flatMap(({ problems }, i) => problems.map(({ reason }) => ({ line: i + 1, reason }))),
  };
}

function reasonWords({ why, other }: LeftOut<AuthorizedKey>): string {
  switch (why) {
    case 'held':
      return `the key is of user ${other} already.`;
    case 'unnamed':
      return "write the user's name after the key.";
    case 'spelled-otherwise':
      return `write the user's name as it is here, ${other}.`;
  }
}

/** `ollama-guard user pubkeys export`. */
export async function publicKeysExport({ file, terminal }: UserCommandPorts): Promise<void> {
  const text = formatAuthorizedKeys(await file.read());
  if (text !== '') terminal.out(text.trimEnd());
}

/** @throws UsageError for a file that cannot be read. */
async function textIn(path: string, terminal: Terminal): Promise<string> {
  if (path === '-') return terminal.readInput();
  return readFile(path, 'utf8').catch((error: unknown) => {
    throw new UsageError(`${path} cannot be read (${systemErrorCode(error)}).`);
  });
}
