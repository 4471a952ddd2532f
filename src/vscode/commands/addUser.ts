import { l10n, window } from 'vscode';
import { createUser, isTaken, type User, userNameProblem } from '../../guard/identity/users.ts';
import { type Role, resolvePolicy } from '../../guard/policy/policy.ts';
import { capabilities } from '../../guard/policy/policyDocument.ts';
import { modelWords } from '../accessWords.ts';
import type { GuardService } from '../guardService.ts';
import { inWords } from '../words.ts';
import { askPassword, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';
import { showPassword } from './showSecret.ts';

/** Asks for a name, a role and a password, and adds the user. */
export async function addUser({ guard }: CommandContext): Promise<void> {
  const title = l10n.t('Add User');
  const name = await askNewName(guard.users, title);
  if (name === undefined) return;
  const role = await askRole(guard, title);
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

/** How a role is asked for, beside the title. */
export interface RoleQuestion {
  /** The role the user has. */
  readonly now?: string;
  readonly placeHolder?: string;
}

/**
 * Asks what a user may do: for one of the policy's roles.
 *
 * @throws GuardError `policy-invalid`.
 */
export async function askRole(
  guard: GuardService,
  title: string,
  { now, placeHolder = l10n.t('What may this user do?') }: RoleQuestion = {},
): Promise<string | undefined> {
  const items = [...resolvePolicy(guard.policy).roles.values()].map((role) => ({
    label: role.name,
    ...(role.name === now && { description: l10n.t('now') }),
    detail: roleWords(role),
  }));
  return (await window.showQuickPick(items, { title, placeHolder, ...staysOpen }))?.label;
}

/** What a role lets its users do, in words. */
function roleWords({ can, models, cloud }: Role): string {
  const known: Readonly<Record<string, string>> = {
    '': l10n.t('May do nothing'),
    read: l10n.t('Sees the models'),
    'read infer': l10n.t('Sees and uses the models'),
    'read infer manage': l10n.t('Also pulls, creates and deletes models'),
  };
  const may = capabilities.filter((capability) => can.includes(capability));
  const which = modelWords(models);
  return [
    known[may.join(' ')] ?? may.join(', '),
    ...(which === modelWords({}) ? [] : [which]),
    ...(cloud ? [l10n.t('models of ollama.com too, on your account')] : []),
  ].join('; ');
}
