import { CancellationError, type Disposable, l10n, commands as vscodeCommands } from 'vscode';
import { type CommandId, commands } from '../ids.ts';
import { showError } from '../messages.ts';
import { errorWords } from '../words.ts';
import { addUser } from './addUser.ts';
import { choosePort } from './choosePort.ts';
import type { CommandContext } from './context.ts';
import { copyAddress } from './copyAddress.ts';
import { copyCaCertificate } from './copyCaCertificate.ts';
import { createApiKey } from './createApiKey.ts';
import { joinShared } from './joinShared.ts';
import { leaveJoined } from './leaveJoined.ts';
import { removeUser } from './removeUser.ts';
import { replaceAuthority } from './replaceAuthority.ts';
import { resetPassword } from './resetPassword.ts';
import { revokeApiKey } from './revokeApiKey.ts';
import { revokeInvite } from './revokeInvite.ts';
import { setExpiry } from './setExpiry.ts';
import { setExternalAccountKey } from './setExternalAccountKey.ts';
import { startSharing } from './startSharing.ts';
import { switchUser } from './switchUser.ts';

/**
 * What a command does; it ends quietly when the person dismisses one of its questions.
 *
 * @param target what the row stands for that it was called on: a user's name, a key's id, a request's number.
 */
export type CommandHandler = (context: CommandContext, target: string | undefined) => Promise<void>;

const handlers: Readonly<Record<CommandId, CommandHandler>> = {
  [commands.start]: ({ guard }) => guard.start(),
  [commands.stop]: ({ guard }) => guard.stop(),
  [commands.restart]: ({ guard }) => guard.restart(),
  [commands.toggle]: ({ guard }) => guard.toggle(),
  [commands.addUser]: addUser,
  [commands.removeUser]: removeUser,
  [commands.resetPassword]: resetPassword,
  [commands.createApiKey]: createApiKey,
  [commands.revokeApiKey]: revokeApiKey,
  [commands.disableUser]: switchUser('off'),
  [commands.enableUser]: switchUser('on'),
  [commands.setExpiry]: setExpiry,
  [commands.copyCurl]: lazily(async () => (await import('./copyCurl.ts')).copyCurl),
  [commands.copyForClient]: lazily(async () => (await import('./copyForClient.ts')).copyForClient),
  [commands.copyAddress]: copyAddress,
  [commands.startSharing]: startSharing,
  [commands.pauseSharing]: ({ guard }) => guard.pauseSharing(true),
  [commands.resumeSharing]: ({ guard }) => guard.pauseSharing(false),
  [commands.stopSharing]: ({ guard }) => guard.endSharing(),
  [commands.stopRequest]: async ({ guard }, target) => {
    if (target !== undefined) await guard.stopRequest(Number(target));
  },
  [commands.copyCaCertificate]: copyCaCertificate,
  [commands.inviteTeammate]: lazily(async () => (await import('./inviteTeammate.ts')).inviteTeammate),
  [commands.revokeInvite]: revokeInvite,
  [commands.joinShared]: joinShared,
  [commands.leaveJoined]: leaveJoined,
  [commands.setExternalAccountKey]: setExternalAccountKey,
  [commands.replaceAuthority]: replaceAuthority,
  [commands.choosePort]: choosePort,
  [commands.checkMachine]: lazily(async () => (await import('./checkMachine.ts')).checkMachine),
  [commands.openSettings]: ({ openSettings }) => openSettings(),
  [commands.openWalkthrough]: ({ openWalkthrough }) => openWalkthrough(),
  [commands.showLog]: async ({ log }) => log.show(),
};

/** A command that is loaded when it is first called, so that none of its weight is there while VS Code starts. */
function lazily(load: () => Promise<CommandHandler>): CommandHandler {
  return async (context, target) => (await load())(context, target);
}

/** Registers every command. An error ends in the log, under its command's id, and in one message. */
export function registerCommands(context: CommandContext): readonly Disposable[] {
  const { log } = context;
  return Object.entries(handlers).map(([id, handler]) =>
    vscodeCommands.registerCommand(id, async (argument?: unknown) => {
      try {
        await handler(context, targetOf(argument));
      } catch (error) {
        if (error instanceof CancellationError) return;
        log.error(`${id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        showError(log, errorWords(error) ?? l10n.t('Ollama Guard could not do this.'));
      }
    }),
  );
}

/** A row of a tree, or a target as it stands. VS Code calls commands with other things too. */
function targetOf(argument: unknown): string | undefined {
  if (typeof argument === 'string') return argument;
  if (typeof argument !== 'object' || argument === null || !('target' in argument)) return undefined;
  return typeof argument.target === 'string' ? argument.target : undefined;
}
