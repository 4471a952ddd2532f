import { type Disposable, l10n, commands as vscodeCommands } from 'vscode';
import { GuardError } from '../../guard/errors.ts';
import type { GuardService } from '../guardService.ts';
import { type CommandId, commands } from '../ids.ts';
import type { Log } from '../log.ts';
import { showError } from '../messages.ts';
import { addUser } from './addUser.ts';
import { copyCurl } from './copyCurl.ts';
import { createApiKey } from './createApiKey.ts';
import { removeUser } from './removeUser.ts';
import { resetPassword } from './resetPassword.ts';
import { revokeApiKey } from './revokeApiKey.ts';

/** What a command does; it ends quietly when the person dismisses one of its questions. */
export type CommandHandler = (guard: GuardService) => Promise<void>;

const handlers = (log: Log): Readonly<Record<CommandId, CommandHandler>> => ({
  [commands.start]: (guard) => guard.start(),
  [commands.stop]: (guard) => guard.stop(),
  [commands.restart]: (guard) => guard.restart(),
  [commands.toggle]: (guard) => guard.toggle(),
  [commands.addUser]: addUser,
  [commands.removeUser]: removeUser,
  [commands.resetPassword]: resetPassword,
  [commands.createApiKey]: createApiKey,
  [commands.revokeApiKey]: revokeApiKey,
  [commands.copyCurl]: copyCurl,
  [commands.showLog]: async () => log.show(),
});

/** Registers every command. An error ends in the log, under its command's id, and in one message. */
export function registerCommands(guard: GuardService, log: Log): readonly Disposable[] {
  return Object.entries(handlers(log)).map(([id, handler]) =>
    vscodeCommands.registerCommand(id, async () => {
      try {
        await handler(guard);
      } catch (error) {
        log.error(`${id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        showError(log, GuardError.is(error) ? error.message : l10n.t('Ollama Guard could not do this.'));
      }
    }),
  );
}
