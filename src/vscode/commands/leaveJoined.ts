import { l10n, window } from 'vscode';
import { staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';

/** Leaves a joined endpoint: its address on this computer is closed, and the key for it forgotten. */
export async function leaveJoined({ guard }: CommandContext, target?: string): Promise<void> {
  const items = guard.joined.map(({ id, url, addresses, user }) => ({
    label: new URL(addresses[0] ?? '').host,
    description: [user, url].filter(Boolean).join(', '),
    id,
  }));
  const title = l10n.t('Leave Shared Ollama');
  const placeHolder = l10n.t('Which one?');
  const id = target ?? (await window.showQuickPick(items, { title, placeHolder, ...staysOpen }))?.id;
  if (id === undefined) return;
  await guard.leave(id);
  void window.showInformationMessage(l10n.t('Left. To come back, ask for a new invite.'));
}
