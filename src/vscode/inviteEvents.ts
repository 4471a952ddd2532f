import { commands, type Disposable, l10n, type Uri, window } from 'vscode';
import type { GuardService } from './guardService.ts';
import { commands as commandIds } from './ids.ts';

/** Tells the owner who has joined by an invite, with the way to undo it. */
export function tellOfJoins(guard: GuardService): Disposable {
  return guard.onEvent(async (event) => {
    if (event.type !== 'invite-redeemed') return;
    const revoke = l10n.t('Revoke');
    const message = l10n.t('{0} joined from {1}.', event.user, event.address);
    const choice = await window.showInformationMessage(message, revoke);
    if (choice === revoke) await commands.executeCommand(commandIds.revokeApiKey, event.keyId);
  });
}

/** Opens links into VS Code, `…/join#…`. The command asks before anything is done. */
export function openInviteLinks(): Disposable {
  return window.registerUriHandler({
    handleUri: async ({ path, fragment }: Uri) => {
      if (path === '/join') await commands.executeCommand(commandIds.joinShared, `#${fragment}`);
    },
  });
}
