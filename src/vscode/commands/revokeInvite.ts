import { l10n, window } from 'vscode';
import { isExpired } from '../../guard/identity/users.ts';
import type { GuardService } from '../guardService.ts';
import { moment } from '../words.ts';
import { staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';

/** Takes an invite back that nobody has used yet. */
export async function revokeInvite({ guard }: CommandContext, inviteId?: string): Promise<void> {
  const id = inviteId ?? (await askInvite(guard));
  if (id === undefined) return;
  await guard.edit({ kind: 'revoke-invite', inviteId: id });
  void window.showInformationMessage(l10n.t('Revoked the invite. Its link does not work any more.'));
}

async function askInvite(guard: GuardService): Promise<string | undefined> {
  const now = Date.now();
  const items = guard.users.flatMap(({ name, invites = [] }) =>
    invites
      .filter((invite) => !isExpired(invite, now))
      .map(({ id, createdAt, expiresAt }) => ({
        label: name,
        description: l10n.t('Made {0}', moment(createdAt)),
        detail: l10n.t('Expires {0}', moment(expiresAt)),
        id,
      })),
  );
  if (items.length === 0) {
    void window.showInformationMessage(l10n.t('There is no open invite.'));
    return undefined;
  }
  const title = l10n.t('Revoke Invite');
  return (await window.showQuickPick(items, { title, placeHolder: l10n.t('Choose an invite'), ...staysOpen }))?.id;
}
