import { l10n, window } from 'vscode';
import { readGuardConfig } from '../settings.ts';
import type { CommandContext } from './context.ts';

/** Throws the certificate authority away, so that the guard makes another: when its key is lost, or known to others. */
export async function replaceAuthority({ guard, forgetAuthority }: CommandContext): Promise<void> {
  const replace = l10n.t('Replace');
  const choice = await window.showWarningMessage(
    l10n.t('Replace the certificate authority?'),
    { modal: true, detail: l10n.t('Nobody who was given a command, a certificate or an invite trusts the new one.') },
    replace,
  );
  if (choice !== replace) return;
  await forgetAuthority();
  if (guard.endpoint !== undefined && readGuardConfig().tls.mode === 'auto') await guard.restart();
  void window.showInformationMessage(l10n.t('Replaced. Invite your teammates anew, or copy their commands again.'));
}
