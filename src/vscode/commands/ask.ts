import { l10n, type QuickPickItem, commands as vscodeCommands, window } from 'vscode';
import { generatePassword, passwordProblem } from '../../guard/identity/password.ts';
import { findUser, type User } from '../../guard/identity/users.ts';
import { defaultShell, type ShellId, shellIds, shells } from '../../guard/share/shell.ts';
import { commands } from '../ids.ts';
import { inWords } from '../words.ts';

/** For quick picks: a tree that had the focus takes it back when it is drawn anew, which would close them. */
export const staysOpen = { ignoreFocusOut: true } as const;

/** A password and whether the person has yet to see it. */
export interface ChosenPassword {
  readonly password: string;
  readonly generated: boolean;
}

/**
 * Asks for one of the users, unless one is named; does not ask when there is just one. Undefined when dismissed, and
 * when there is none, which is said.
 */
export async function askUser(users: readonly User[], title: string, named?: string): Promise<User | undefined> {
  if (named !== undefined) return findUser(users, named);
  if (users.length <= 1) {
    if (users.length === 0) sayNoUser();
    return users[0];
  }
  const items = users.map((user) => ({ label: user.name, description: user.role, user }));
  return (await window.showQuickPick(items, { title, placeHolder: l10n.t('Choose a user'), ...staysOpen }))?.user;
}

/** Says that there is no user yet, with the way to one. */
export function sayNoUser(): void {
  const addUser = l10n.t('Add User');
  void window.showInformationMessage(l10n.t('There is no user yet. Add a user first.'), addUser).then((choice) => {
    if (choice === addUser) void vscodeCommands.executeCommand(commands.addUser);
  });
}

/** Offers a generated password, or one that is typed twice. */
export async function askPassword(title: string): Promise<ChosenPassword | undefined> {
  const generate: QuickPickItem = {
    label: l10n.t('Generate a password'),
    detail: l10n.t('Random, copied to the clipboard and shown once'),
  };
  const type: QuickPickItem = { label: l10n.t('Type a password'), detail: l10n.t('Twice, up to 72 bytes') };
  const choice = await window.showQuickPick([generate, type], {
    title,
    placeHolder: l10n.t('Where from?'),
    ...staysOpen,
  });
  if (choice === generate) return { password: generatePassword(), generated: true };
  if (choice !== type) return undefined;

  const password = await window.showInputBox({
    title,
    password: true,
    prompt: l10n.t('The new password'),
    ignoreFocusOut: true,
    validateInput: (value) => {
      const problem = value === '' ? undefined : passwordProblem(value);
      return problem === undefined ? undefined : inWords({ text: problem, args: {} });
    },
  });
  if (password === undefined || password === '') return undefined;
  const again = await window.showInputBox({
    title,
    password: true,
    prompt: l10n.t('The same password again'),
    ignoreFocusOut: true,
    validateInput: (value) => (value === password ? undefined : l10n.t('The two passwords differ.')),
  });
  return again === undefined ? undefined : { password, generated: false };
}

/** Asks for the shell a command is for, the usual one first. */
export async function askShell(title: string): Promise<ShellId | undefined> {
  const usual = defaultShell(process.platform);
  const ids = [usual, ...shellIds.filter((id) => id !== usual)];
  const items = ids.map((id) => ({ label: shells[id].name, id }));
  return (await window.showQuickPick(items, { title, placeHolder: l10n.t('Where will it be pasted?'), ...staysOpen }))
    ?.id;
}
