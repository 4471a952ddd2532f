import { env, l10n, commands as vscodeCommands, window } from 'vscode';
import { commands } from '../ids.ts';

/** Copies a new password once and shows it once, with the next step at hand. */
export async function showPassword(name: string, password: string): Promise<void> {
  await env.clipboard.writeText(password);
  const copyCurl = l10n.t('Copy curl Command');
  const message = l10n.t('Password for {0}: {1} — it is on the clipboard and will not be shown again.', name, password);
  void window.showInformationMessage(message, copyCurl).then((choice) => {
    if (choice === copyCurl) void vscodeCommands.executeCommand(commands.copyCurl);
  });
}
