import { env, l10n, window } from 'vscode';
import type { CommandContext } from './context.ts';
import { teammateUrl } from './teammateUrl.ts';

/** Copies an address: the row's own, that of a joined endpoint on this computer, or the one for teammates. */
export async function copyAddress({ guard }: CommandContext, target?: string): Promise<void> {
  const joined = guard.joined.find(({ id }) => id === target);
  const address = joined?.url ?? target ?? teammateUrl(guard.endpoint);
  await env.clipboard.writeText(address);
  void window.setStatusBarMessage(l10n.t('Copied {0}', address), 3_000);
}
