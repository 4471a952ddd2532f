import { l10n, type QuickPickItem, window } from 'vscode';
import { generatePassword, passwordProblem } from '../../guard/identity/password.ts';
import type { User } from '../../guard/identity/users.ts';

/** A password and whether the person has yet to see it. */
export interface ChosenPassword {
  readonly password: string;
  readonly generated: boolean;
}

/** Asks for one of the users; does not ask when there is just one. Undefined when dismissed or when there is none. */
export async function askUser(users: readonly User[], title: string): Promise<User | undefined> {
  if (users.length <= 1) {
    if (users.length === 0) void window.showInformationMessage(l10n.t('There is no user yet. Add a user first.'));
    return users[0];
  }
  const items = users.map((user) => ({ label: user.name, description: user.role, user }));
  return (await window.showQuickPick(items, { title, placeHolder: l10n.t('Choose a user') }))?.user;
}

/** Offers a generated password, or one that is typed twice. */
export async function askPassword(title: string): Promise<ChosenPassword | undefined> {
  const generate: QuickPickItem = {
    label: l10n.t('Generate a password'),
    detail: l10n.t('Random, copied to the clipboard and shown once'),
  };
  const type: QuickPickItem = { label: l10n.t('Type a password'), detail: l10n.t('Twice, up to 72 bytes') };
  const choice = await window.showQuickPick([generate, type], { title, placeHolder: l10n.t('Where from?') });
  if (choice === generate) return { password: generatePassword(), generated: true };
  if (choice !== type) return undefined;

  const password = await window.showInputBox({
    title,
    password: true,
    prompt: l10n.t('The new password'),
    ignoreFocusOut: true,
    validateInput: (value) => (value === '' ? undefined : passwordProblem(value)),
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
