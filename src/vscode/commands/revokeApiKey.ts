import { l10n, window } from 'vscode';
import type { ApiKeyRecord } from '../../guard/identity/users.ts';
import type { GuardService } from '../guardService.ts';
import { moment } from '../words.ts';
import { staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';

/** Revokes an API key, after asking once more, and ends what streams by it. */
export async function revokeApiKey({ guard }: CommandContext, keyId?: string): Promise<void> {
  const key = keyId === undefined ? await askKey(guard) : findKey(guard, keyId);
  if (key === undefined) return;
  const label = key.label || key.id;
  const revoke = l10n.t('Revoke');
  const choice = await window.showWarningMessage(
    l10n.t('Revoke API key {0}?', label),
    { modal: true, detail: l10n.t('The key stops working now, and running answers by it end.') },
    revoke,
  );
  if (choice !== revoke) return;
  await guard.edit({ kind: 'revoke-key', keyId: key.id });
  void window.showInformationMessage(l10n.t('Revoked API key {0}.', label));
}

function findKey(guard: GuardService, id: string): ApiKeyRecord | undefined {
  return guard.users.flatMap((user) => user.keys).find((key) => key.id === id);
}

async function askKey(guard: GuardService): Promise<ApiKeyRecord | undefined> {
  const items = guard.users.flatMap((user) =>
    user.keys.map((key) => ({
      label: key.label || key.id,
      description: user.name,
      detail: l10n.t('Made {0}', moment(key.createdAt)),
      key,
    })),
  );
  if (items.length === 0) {
    void window.showInformationMessage(l10n.t('There is no API key.'));
    return undefined;
  }
  const choice = await window.showQuickPick(items, {
    title: l10n.t('Revoke API Key'),
    placeHolder: l10n.t('The key stops working at once'),
    matchOnDescription: true,
    ...staysOpen,
  });
  return choice?.key;
}
