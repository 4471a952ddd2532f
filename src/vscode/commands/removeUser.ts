import { l10n, window } from 'vscode';
import { removeUser as removed } from '../../guard/identity/users.ts';
import type { GuardService } from '../guardService.ts';
import { askUser } from './ask.ts';

/** Removes a user, after asking once more, and ends what that user streams. */
export async function removeUser(guard: GuardService): Promise<void> {
  const user = await askUser(await guard.users(), l10n.t('Remove User'));
  if (user === undefined) return;
  const remove = l10n.t('Remove');
  const choice = await window.showWarningMessage(
    l10n.t('Remove {0}?', user.name),
    { modal: true, detail: l10n.t('Password and API keys stop working now, and running answers end.') },
    remove,
  );
  if (choice !== remove) return;
  await guard.updateUsers((users) => removed(users, user.name));
  void window.showInformationMessage(l10n.t('Removed {0}.', user.name));
}
