import { l10n, window } from 'vscode';
import { createBarredUser, findUser, isTaken } from '../../guard/identity/users.ts';
import type { GuardService } from '../guardService.ts';
import { askNewName } from './addUser.ts';
import { askUser, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';

/**
 * Switches a user off, and ends what that user streams. Where people come by JSON Web Token, a name that is in no list
 * can be somebody's: it is put there to be shut out.
 */
export async function disableUser({ guard }: CommandContext, named?: string): Promise<void> {
  const title = l10n.t('Disable User');
  const name = named === undefined ? await askWhom(guard, title) : findUser(guard.users, named).name;
  if (name === undefined) return;
  await guard.edit(
    isTaken(guard.users, name)
      ? { kind: 'change-user', name, change: { disabled: true } }
      : { kind: 'add-user', user: createBarredUser(name) },
  );
  void window.showInformationMessage(l10n.t('{0} is let in no more, until enabled again.', name));
}

/** Switches a user on again. */
export async function enableUser({ guard }: CommandContext, name?: string): Promise<void> {
  const { users } = guard;
  const disabled = users.filter((user) => user.disabled === true);
  if (name === undefined && disabled.length === 0 && users.length > 0) {
    void window.showInformationMessage(l10n.t('No user is disabled.'));
    return;
  }
  const user = await askUser(disabled, l10n.t('Enable User'), name);
  if (user === undefined) return;
  await guard.edit({ kind: 'change-user', name: user.name, change: { disabled: null } });
  void window.showInformationMessage(l10n.t('{0} is let in again.', user.name));
}

/** Asks who is to be switched off: one of the users or, where people come by token, anybody. */
async function askWhom(guard: GuardService, title: string): Promise<string | undefined> {
  const { users } = guard;
  const enabled = users.filter(({ disabled }) => disabled !== true);
  if (!comeByToken(guard)) {
    if (enabled.length > 0 || users.length === 0) return (await askUser(enabled, title))?.name;
    void window.showInformationMessage(l10n.t('Every user is disabled already.'));
    return undefined;
  }
  const items = [
    ...enabled.map(({ name, role }) => ({ label: name, description: role, name })),
    { label: l10n.t('Another name…'), description: l10n.t('of somebody who comes by JSON Web Token'), name: undefined },
  ];
  const choice = await window.showQuickPick(items, { title, placeHolder: l10n.t('Choose a user'), ...staysOpen });
  return choice === undefined || choice.name !== undefined ? choice?.name : await askNewName(users, title);
}

/** Whether somebody can come by JSON Web Token. */
function comeByToken(guard: GuardService): boolean {
  try {
    return (guard.policy.issuers ?? []).length > 0;
  } catch {
    // With a policy that is not valid no guard runs, and whoever is in the list can be switched off all the same.
    return false;
  }
}
