import { env, l10n, window } from 'vscode';
import type { CommandContext } from './context.ts';
import { teammateUrl } from './teammateUrl.ts';

/** Copies an address of the endpoint: the row's own, or the one for teammates. */
export async function copyAddress({ guard }: CommandContext, url?: string): Promise<void> {
  const address = url ?? teammateUrl(guard.endpoint);
  await env.clipboard.writeText(address);
  void window.setStatusBarMessage(l10n.t('Copied {0}', address), 3_000);
}
