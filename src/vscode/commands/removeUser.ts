import { l10n, window } from 'vscode';
import { askUser } from './ask.ts';
import type { CommandContext } from './context.ts';

/** Removes a user, after asking once more, and ends what that user streams. */
export async function removeUser({ guard }: CommandContext, name?: string): Promise<void> {
  const user = await askUser(guard.users, l10n.t('Remove User'), name);
  if (user === undefined) return;
  const remove = l10n.t('Remove');
  const choice = await window.showWarningMessage(
    l10n.t('Remove {0}?', user.name),
    { modal: true, detail: l10n.t('Password and API keys stop working now, and running answers end.') },
    remove,
  );
  if (choice !== remove) return;
  await guard.edit({ kind: 'remove-user', name: user.name });
  void window.showInformationMessage(l10n.t('Removed {0}.', user.name));
}
