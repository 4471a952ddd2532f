import { commands, type Disposable, l10n, window, workspace } from 'vscode';
import type { GuardState } from '../guard/state.ts';
import type { GuardService } from './guardService.ts';
import { commands as commandIds, settingsSection, statusContextKey } from './ids.ts';
import type { Log } from './log.ts';
import { showError } from './messages.ts';
import type { StatusBar } from './statusBar.ts';

/** Shows every state where it belongs: status bar, context key, log, and one message for a failure. */
export function presentState(guard: GuardService, statusBar: StatusBar, log: Log): Disposable {
  let shown: GuardState['status'] | undefined;
  const present = (state: GuardState) => {
    statusBar.update(state);
    // A running guard changes its counts all the time; the rest goes by its status alone.
    if (state.status === shown && state.status !== 'failed') return;
    shown = state.status;
    void commands.executeCommand('setContext', statusContextKey, state.status);
    if (state.status === 'failed') {
      log.error(state.message);
      showError(log, state.message);
    } else {
      log.info(state.status === 'running' ? `Running at ${state.url}, in front of ${state.upstream}` : state.status);
    }
  };
  present(guard.state);
  return guard.onDidChange(present);
}

/** Settings are read when the guard starts; says so when they change under a running one. */
export function offerRestartOnNewSettings(guard: GuardService): Disposable {
  return workspace.onDidChangeConfiguration(async (event) => {
    if (!event.affectsConfiguration(settingsSection) || guard.state.status !== 'running') return;
    const restart = l10n.t('Restart');
    const message = l10n.t('Ollama Guard goes by its new settings when it is started again.');
    if ((await window.showInformationMessage(message, restart)) === restart) {
      await commands.executeCommand(commandIds.restart);
    }
  });
}
