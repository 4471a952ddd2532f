import { l10n, window } from 'vscode';
import { revokeApiKey as revoked } from '../../guard/identity/users.ts';
import type { GuardService } from '../guardService.ts';

/** Revokes an API key, and ends what streams by it. */
export async function revokeApiKey(guard: GuardService): Promise<void> {
  const items = (await guard.users()).flatMap((user) =>
    user.keys.map((key) => ({
      label: key.label || key.id,
      description: user.name,
      detail: l10n.t('Made {0}', new Date(key.createdAt).toLocaleString()),
      key,
    })),
  );
  if (items.length === 0) {
    void window.showInformationMessage(l10n.t('There is no API key.'));
    return;
  }
  const choice = await window.showQuickPick(items, {
    title: l10n.t('Revoke API Key'),
    placeHolder: l10n.t('The key stops working at once'),
    matchOnDescription: true,
  });
  if (choice === undefined) return;
  await guard.updateUsers((users) => revoked(users, choice.key.id));
  void window.showInformationMessage(l10n.t('Revoked API key {0}.', choice.label));
}
