import { commands, type ExtensionContext, window } from 'vscode';
import { applyPolicyChanges } from './vscode/applyPolicy.ts';
import { createCommandContext } from './vscode/commandContext.ts';
import { registerCommands } from './vscode/commands/register.ts';
import { ContextKeys } from './vscode/contextKeys.ts';
import { GuardService } from './vscode/guardService.ts';
import { commands as commandIds } from './vscode/ids.ts';
import { openInviteLinks, tellOfJoins } from './vscode/inviteEvents.ts';
import { Log } from './vscode/log.ts';
import { offerRestartOnNewSettings, presentState, showFailures } from './vscode/presentState.ts';
import { SecretJoined } from './vscode/secretJoined.ts';
import { SecretUsers } from './vscode/secretUsers.ts';
import { createSecretVault } from './vscode/secretVault.ts';
import { readAutoStart } from './vscode/settings.ts';
import { StatusBar } from './vscode/statusBar.ts';
import { createUpstreamWatch } from './vscode/upstreamWatch.ts';
import { registerViews } from './vscode/views/register.ts';
import { Walkthrough } from './vscode/walkthrough.ts';

let running: GuardService | undefined;

/** Puts the parts together; no logic of its own. */
export function activate(context: ExtensionContext): void {
  const channel = window.createOutputChannel('Ollama Guard', { log: true });
  const log = new Log(channel);
  const vault = createSecretVault(context.secrets, context.globalState);
  const guard = new GuardService(
    context.globalStorageUri.fsPath,
    { users: new SecretUsers(context.secrets), vault, joined: new SecretJoined(context.secrets) },
    log,
  );
  const statusBar = new StatusBar(guard.state);
  const upstream = createUpstreamWatch(guard);
  const keys = new ContextKeys();
  const walkthrough = new Walkthrough(keys, guard, upstream);
  running = guard;
  context.subscriptions.push(
    log,
    guard,
    statusBar,
    upstream,
    walkthrough,
    presentState(guard, statusBar, keys, log),
    showFailures(guard, log),
    offerRestartOnNewSettings(guard),
    applyPolicyChanges(guard, log),
    tellOfJoins(guard),
    openInviteLinks(),
    ...registerViews(guard, upstream),
    ...registerCommands(createCommandContext(context, { guard, upstream, log, vault, walkthrough })),
  );
  if (readAutoStart()) void commands.executeCommand(commandIds.start);
}

/** Leaves the other windows to themselves; VS Code waits for this, up to five seconds. */
export async function deactivate(): Promise<void> {
  await running?.shutDown();
}
