import { commands, type Disposable, l10n, window, workspace } from 'vscode';
import { GuardError } from '../guard/errors.ts';
import type { GuardService } from './guardService.ts';
import { commands as commandIds, settingsSection } from './ids.ts';
import type { Log } from './log.ts';
import { errorWords } from './words.ts';

/** Has a running guard go by the policy as soon as its setting changes. One that is not valid changes nothing. */
export function applyPolicyChanges(guard: GuardService, log: Log): Disposable {
  return workspace.onDidChangeConfiguration(async (event) => {
    if (!event.affectsConfiguration(`${settingsSection}.policy`)) return;
    const { status } = guard.state;
    if (guard.endpoint === undefined && status !== 'starting') return;
    try {
      await guard.applyPolicy();
      if (guard.isHere) log.info('goes by the new policy');
    } catch (error) {
      // Every window hears of the change, and the person is in front of one.
      if (!window.state.focused && !guard.isHere) return;
      await sayNotApplied(log, error);
    }
  });
}

async function sayNotApplied(log: Log, error: unknown): Promise<void> {
  const words = errorWords(error) ?? String(error);
  log.error(words);
  const message = GuardError.is(error, 'policy-invalid')
    ? l10n.t('The policy before stays in force. {0}', words)
    : words;
  const editPolicy = l10n.t('Edit Policy');
  if ((await window.showErrorMessage(message, editPolicy)) === editPolicy) {
    await commands.executeCommand(commandIds.editPolicy);
  }
}
