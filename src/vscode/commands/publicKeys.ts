import { l10n, ThemeIcon, Uri, window, workspace } from 'vscode';
import { formatAuthorizedKeys, parseAuthorizedKeys } from '../../guard/identity/authorizedKeys.ts';
import { editOf, planKeyImport } from '../../guard/identity/keyImport.ts';
import { createPublicKeyRecord } from '../../guard/identity/publicKey.ts';
import type { PublicKeyRecord, User } from '../../guard/identity/users.ts';
import type { GuardService } from '../guardService.ts';
import { counted, errorWords, inWords, moment } from '../words.ts';
import { askRole } from './addUser.ts';
import { askUser, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';

/** A file of public keys is not larger than this, in bytes: some ten thousand of them. */
const maxFileBytes = 1024 * 1024;

/** So many new users, and so many keys that were left out, are told of one by one. */
const maxNamed = 3;

/** What a public key is called: its comment, such as `anna@laptop`, else its id. */
export function labelOf({ label, id }: PublicKeyRecord): string {
  return label || id;
}

/** Lets the ollama command line of a user's computer sign in. */
export async function addPublicKey(context: CommandContext, name?: string): Promise<void> {
  const user = await askUser(context.guard.users, l10n.t('Add Public Key'), name);
  if (user === undefined || !(await askPublicKey(context, user))) return;
  void window.showInformationMessage(l10n.t('Added a public key for {0}.', user.name));
}

/** Takes a public key away, after asking once more. */
export async function removePublicKey(context: CommandContext, keyId?: string): Promise<void> {
  const { guard } = context;
  const all = guard.users.flatMap(({ name, publicKeys = [] }) => publicKeys.map((key) => ({ name, key })));
  const key = keyId === undefined ? await askWhich(all) : all.find((one) => one.key.id === keyId)?.key;
  if (key === undefined) return;
  if (!(await remove(context, key))) return;
  void window.showInformationMessage(l10n.t('Removed public key {0}.', labelOf(key)));
}

/** Adds a public key of a user, or removes one. */
export async function editPublicKeys(context: CommandContext, user: User): Promise<void> {
  const add = { label: l10n.t('Add a public key…'), iconPath: new ThemeIcon('add'), key: undefined };
  const items = (user.publicKeys ?? []).map((key) => ({
    label: labelOf(key),
    description: l10n.t('Added {0}', moment(key.createdAt)),
    iconPath: new ThemeIcon('key'),
    key,
  }));
  const choice = await window.showQuickPick([add, ...items], {
    title: l10n.t('Public Keys of {0}', user.name),
    placeHolder: items.length === 0 ? l10n.t('There is no public key yet') : l10n.t('Choose a key to remove it'),
    ...staysOpen,
  });
  if (choice?.key !== undefined) await remove(context, choice.key);
  else if (choice !== undefined) await askPublicKey(context, user);
}

/**
 * Adds the public keys of a file such as `authorized_keys`, each to the user that its line names, and those users whom
 * nobody has added yet.
 */
export async function importPublicKeys(context: CommandContext): Promise<void> {
  const { guard } = context;
  const [file] =
    (await window.showOpenDialog({ title: l10n.t('Import Public Keys'), openLabel: l10n.t('Import') })) ?? [];
  if (file === undefined) return;
  if ((await workspace.fs.stat(file)).size > maxFileBytes) {
    void window.showErrorMessage(l10n.t('This file is too large for one of public keys.'));
    return;
  }
  const { entries, problems } = parseAuthorizedKeys(new TextDecoder().decode(await workspace.fs.readFile(file)));
  const plan = planKeyImport(guard.users, entries);
  const { newUsers, newKeys, leftOut } = plan;
  const role = newUsers.length === 0 ? '' : await askRoleOf(guard, newUsers);
  if (role === undefined) return;
  if (newKeys.length > 0) await guard.edit(editOf(plan, role));
  const leftOutWords = [
    ...problems.map(({ line, reason }) => l10n.t('Line {0} was left out. {1}', line, inWords(reason))),
    ...leftOut.map(inWords),
  ];
  const said = [
    counted(newKeys.length, l10n.t('Added 1 public key.'), (count) => l10n.t('Added {0} public keys.', count)),
    ...(newUsers.length === 0
      ? []
      : [counted(newUsers.length, l10n.t('Added 1 user.'), (count) => l10n.t('Added {0} users.', count))]),
    ...leftOutWords.slice(0, maxNamed),
    ...(leftOutWords.length > maxNamed ? [l10n.t('So were {0} more.', leftOutWords.length - maxNamed)] : []),
  ];
  void window.showInformationMessage(said.join(' '));
}

/** Writes every public key into a file such as `authorized_keys`. */
export async function exportPublicKeys({ guard }: CommandContext): Promise<void> {
  const text = formatAuthorizedKeys(guard.users);
  if (text === '') {
    void window.showInformationMessage(l10n.t('There is no public key.'));
    return;
  }
  const [folder] = workspace.workspaceFolders ?? [];
  const file = await window.showSaveDialog({
    title: l10n.t('Export Public Keys'),
    saveLabel: l10n.t('Export'),
    ...(folder && { defaultUri: Uri.joinPath(folder.uri, 'authorized_keys') }),
  });
  if (file === undefined) return;
  await workspace.fs.writeFile(file, new TextEncoder().encode(text));
  void window.showInformationMessage(l10n.t('Exported the public keys. They are no secrets.'));
}

/** Asks for a public key and adds it; whether it did. */
async function askPublicKey({ guard, done }: CommandContext, { name }: User): Promise<boolean> {
  const text = await window.showInputBox({
    title: l10n.t('Add Public Key'),
    prompt: l10n.t('The one line of ~/.ollama/id_ed25519.pub on the computer of {0}', name),
    placeHolder: 'ssh-ed25519 AAAA…',
    ignoreFocusOut: true,
    validateInput: (value) => (value === '' ? undefined : problemOf(value)),
  });
  if (text === undefined || text === '') return false;
  await guard.edit({ kind: 'add-public-key', name, key: createPublicKeyRecord(text) });
  done('access');
  return true;
}

function problemOf(text: string): string | undefined {
  try {
    createPublicKeyRecord(text);
    return undefined;
  } catch (error) {
    return errorWords(error) ?? String(error);
  }
}

/** Removes a public key, after asking once more; whether it did. */
async function remove({ guard }: CommandContext, key: PublicKeyRecord): Promise<boolean> {
  const confirm = l10n.t('Remove');
  const choice = await window.showWarningMessage(
    l10n.t('Remove public key {0}?', labelOf(key)),
    { modal: true, detail: l10n.t('The key stops working now, and running answers by it end.') },
    confirm,
  );
  if (choice !== confirm) return false;
  await guard.edit({ kind: 'remove-public-key', keyId: key.id });
  return true;
}

async function askWhich(
  keys: readonly { readonly name: string; readonly key: PublicKeyRecord }[],
): Promise<PublicKeyRecord | undefined> {
  if (keys.length === 0) {
    void window.showInformationMessage(l10n.t('There is no public key.'));
    return undefined;
  }
  const items = keys.map(({ name, key }) => ({ label: labelOf(key), description: name, key }));
  const title = l10n.t('Remove Public Key');
  return (await window.showQuickPick(items, { title, placeHolder: l10n.t('Choose a key to remove it'), ...staysOpen }))
    ?.key;
}

/** Asks what those may do whom a file of public keys names and nobody has added yet. */
function askRoleOf(guard: GuardService, names: readonly string[]): Promise<string | undefined> {
  const named = [...names.slice(0, maxNamed), ...(names.length > maxNamed ? ['…'] : [])];
  return askRole(guard, l10n.t('Role of {0}', named.join(', ')), {
    placeHolder: counted(names.length, l10n.t('What may this new user do?'), (count) =>
      l10n.t('What may these {0} new users do?', count),
    ),
  });
}
