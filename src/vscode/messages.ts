import { l10n, window } from 'vscode';
import type { Log } from './log.ts';

/** One message for an error, with a way to the log. Does not wait for the person. */
export function showError(log: Log, message: string): void {
  const showLog = l10n.t('Show Log');
  void window.showErrorMessage(message, showLog).then((choice) => {
    if (choice === showLog) log.show();
  });
}
