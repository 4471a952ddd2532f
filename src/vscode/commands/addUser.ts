import { l10n, window } from 'vscode';
import { createUser, isTaken, type User, userNameProblem } from '../../guard/identity/users.ts';
import { roleNames } from '../../guard/policy/policy.ts';
import { inWords } from '../words.ts';
import { askPassword, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';
import { showPassword } from './showSecret.ts';

/** Asks for a name, a role and a password, and adds the user. */
export async function addUser({ guard }: CommandContext): Promise<void> {
  const title = l10n.t('Add User');
  const name = await askNewName(guard.users, title);
  if (name === undefined) return;
  const role = await askRole(title);
  if (role === undefined) return;
  const chosen = await askPassword(title);
  if (chosen === undefined) return;

  const hash = await guard.hashPassword(chosen.password);
  await guard.edit({ kind: 'add-user', user: createUser(name, role, hash) });
  if (chosen.generated) await showPassword(name, chosen.password);
  else void window.showInformationMessage(l10n.t('Added {0} as {1}.', name, role));
}

/** Asks for the name of a user that is not there yet. */
export async function askNewName(users: readonly User[], title: string): Promise<string | undefined> {
  const name = await window.showInputBox({
    title,
    prompt: l10n.t('The user name'),
    placeHolder: 'alice',
    ignoreFocusOut: true,
    validateInput: (value) => {
      if (value === '') return undefined;
      if (isTaken(users, value)) return l10n.t('There is a user {0} already.', value);
      const problem = userNameProblem(value);
      return problem === undefined ? undefined : inWords({ text: problem, args: {} });
    },
  });
  return name || undefined;
}

/** Asks what a new user may do. */
export async function askRole(title: string): Promise<string | undefined> {
  const details: Readonly<Record<string, string>> = {
    viewer: l10n.t('Sees the models'),
    member: l10n.t('Sees and uses the models'),
    admin: l10n.t('Also pulls, creates and deletes models'),
    owner: l10n.t('Also uses models of ollama.com on your account, and goes first'),
  };
  const items = roleNames.map((role) => ({ label: role, detail: details[role] ?? '', role }));
  return (await window.showQuickPick(items, { title, placeHolder: l10n.t('What may this user do?'), ...staysOpen }))
    ?.role;
}
