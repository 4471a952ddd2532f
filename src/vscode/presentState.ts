import { commands, type Disposable, l10n, window, workspace } from 'vscode';
import type { GuardState } from '../guard/state.ts';
import type { Snapshot } from '../windows/messages.ts';
import type { ContextKeys } from './contextKeys.ts';
import type { GuardService } from './guardService.ts';
import { commands as commandIds, contextKeys, settingNames, settingsSection } from './ids.ts';
import type { Log } from './log.ts';
import { showError } from './messages.ts';
import type { StatusBar } from './statusBar.ts';
import { inWords } from './words.ts';

/** Shows every state where it belongs: status bar, context keys, log, and one message for a failure. */
export function presentState(guard: GuardService, statusBar: StatusBar, keys: ContextKeys, log: Log): Disposable {
  let shown: GuardState['status'] | undefined;
  const present = ({ state: changed, users, storage, joined }: Partial<Snapshot>) => {
    if (users !== undefined) keys.set(contextKeys.hasUsers, users.length > 0);
    if (joined !== undefined) keys.set(contextKeys.hasJoined, joined.length > 0);
    if (storage === 'memory') sayMemoryOnly();
    if (changed === undefined) return;
    const { state } = guard;
    statusBar.update(state);
    keys.set(contextKeys.sharing, sharingOf(state));
    // A running guard changes its counts all the time; the rest goes by its status alone.
    if (state.status === shown && state.status !== 'failed') return;
    shown = state.status;
    keys.set(contextKeys.status, state.status);
    log.info(stateLine(state));
  };
  const sayMemoryOnly = once(() => {
    showError(
      log,
      l10n.t("VS Code's secret storage fails. Users are kept in memory and are gone with the last window."),
    );
  });
  present({ state: guard.state });
  return guard.onDidChange(present);
}

function sharingOf(state: GuardState): 'none' | 'active' | 'paused' {
  if (!('sharing' in state) || state.sharing === undefined) return 'none';
  return state.sharing.paused ? 'paused' : 'active';
}

function stateLine(state: GuardState): string {
  if (state.status === 'failed') return `failed: ${inWords(state.message)}`;
  return 'url' in state ? `${state.status} at ${state.url}, in front of ${state.upstream}` : state.status;
}

/** Tells of a failed guard, once, in the window where it was asked to start or where it broke. */
export function showFailures(guard: GuardService, log: Log): Disposable {
  return guard.onDidFail(async (state) => {
    const message = inWords(state.message);
    log.error(message);
    if (state.code !== 'address-in-use') {
      showError(log, message);
      return;
    }
    const choosePort = l10n.t('Use Another Port');
    const retry = l10n.t('Retry');
    const showLog = l10n.t('Show Log');
    const choice = await window.showErrorMessage(message, choosePort, retry, showLog);
    if (choice === choosePort) await commands.executeCommand(commandIds.choosePort);
    if (choice === retry) await commands.executeCommand(commandIds.start);
    if (choice === showLog) log.show();
  });
}

/** All but those that apply as soon as they change. */
const readAtStart = settingNames.filter((name) => name !== 'logLevel' && name !== 'policy');

/** Settings are read when the guard starts; says so when they change under a running one. */
export function offerRestartOnNewSettings(guard: GuardService): Disposable {
  return workspace.onDidChangeConfiguration(async (event) => {
    const affected = readAtStart.some((name) => event.affectsConfiguration(`${settingsSection}.${name}`));
    if (!affected || guard.endpoint === undefined) return;
    const restart = l10n.t('Restart');
    const message = l10n.t('Ollama Guard goes by its new settings when it is started again.');
    if ((await window.showInformationMessage(message, restart)) === restart) {
      await commands.executeCommand(commandIds.restart);
    }
  });
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
