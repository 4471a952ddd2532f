import { createServer } from 'node:net';
import { ConfigurationTarget, l10n, window, workspace } from 'vscode';
import { settingsSection } from '../ids.ts';
import type { CommandContext } from './context.ts';

/** Asks for another port, keeps it in the user settings and starts there. Nothing is changed without being asked. */
export async function choosePort({ guard }: CommandContext): Promise<void> {
  const chosen = await window.showInputBox({
    title: l10n.t('Use Another Port'),
    prompt: l10n.t('The port to listen on. Teammates have it in their settings.'),
    value: String(await freePort()),
    ignoreFocusOut: true,
    validateInput: (value) =>
      /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535
        ? undefined
        : l10n.t('A port is a number from 1 to 65535.'),
  });
  if (chosen === undefined) return;
  await workspace.getConfiguration(settingsSection).update('port', Number(chosen), ConfigurationTarget.Global);
  await guard.start();
}

/** A port nobody listens on at the moment, as a suggestion. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
      .once('error', reject)
      .listen(0, '127.0.0.1', () => {
        const address = probe.address();
        probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 11_436));
      });
  });
}
