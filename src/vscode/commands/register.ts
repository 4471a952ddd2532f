import { CancellationError, type Disposable, l10n, commands as vscodeCommands } from 'vscode';
import { type CommandId, commands } from '../ids.ts';
import { showError } from '../messages.ts';
import { errorWords } from '../words.ts';
import type { CommandContext } from './context.ts';

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
  [commands.addUser]: lazily(async () => (await import('./addUser.ts')).addUser),
  [commands.removeUser]: lazily(async () => (await import('./removeUser.ts')).removeUser),
  [commands.resetPassword]: lazily(async () => (await import('./resetPassword.ts')).resetPassword),
  [commands.createApiKey]: lazily(async () => (await import('./createApiKey.ts')).createApiKey),
  [commands.revokeApiKey]: lazily(async () => (await import('./revokeApiKey.ts')).revokeApiKey),
  [commands.disableUser]: lazily(async () => (await import('./switchUser.ts')).disableUser),
  [commands.enableUser]: lazily(async () => (await import('./switchUser.ts')).enableUser),
  [commands.setExpiry]: lazily(async () => (await import('./setExpiry.ts')).setExpiry),
  [commands.editAccess]: lazily(async () => (await import('./editAccess.ts')).editAccess),
  [commands.explainAccess]: lazily(async () => (await import('./explainAccess.ts')).explainAccess),
  [commands.editPolicy]: ({ openPolicy }) => openPolicy(),
  [commands.addPublicKey]: lazily(async () => (await import('./publicKeys.ts')).addPublicKey),
  [commands.removePublicKey]: lazily(async () => (await import('./publicKeys.ts')).removePublicKey),
  [commands.importPublicKeys]: lazily(async () => (await import('./publicKeys.ts')).importPublicKeys),
  [commands.exportPublicKeys]: lazily(async () => (await import('./publicKeys.ts')).exportPublicKeys),
  [commands.copyCurl]: lazily(async () => (await import('./copyCurl.ts')).copyCurl),
  [commands.copyForClient]: lazily(async () => (await import('./copyForClient.ts')).copyForClient),
  [commands.copyAddress]: lazily(async () => (await import('./copyAddress.ts')).copyAddress),
  [commands.startSharing]: lazily(async () => (await import('./startSharing.ts')).startSharing),
  [commands.pauseSharing]: ({ guard }) => guard.pauseSharing(true),
  [commands.resumeSharing]: ({ guard }) => guard.pauseSharing(false),
  [commands.stopSharing]: ({ guard }) => guard.endSharing(),
  [commands.stopRequest]: async ({ guard }, target) => {
    if (target !== undefined) await guard.stopRequest(Number(target));
  },
  [commands.copyCaCertificate]: lazily(async () => (await import('./copyCaCertificate.ts')).copyCaCertificate),
  [commands.inviteTeammate]: lazily(async () => (await import('./inviteTeammate.ts')).inviteTeammate),
  [commands.revokeInvite]: lazily(async () => (await import('./revokeInvite.ts')).revokeInvite),
  [commands.joinShared]: lazily(async () => (await import('./joinShared.ts')).joinShared),
  [commands.leaveJoined]: lazily(async () => (await import('./leaveJoined.ts')).leaveJoined),
  [commands.setExternalAccountKey]: lazily(
    async () => (await import('./setExternalAccountKey.ts')).setExternalAccountKey,
  ),
  [commands.replaceAuthority]: lazily(async () => (await import('./replaceAuthority.ts')).replaceAuthority),
  [commands.choosePort]: lazily(async () => (await import('./choosePort.ts')).choosePort),
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
