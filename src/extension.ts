import { commands, type ExtensionContext, window } from 'vscode';
import { registerCommands } from './vscode/commands/register.ts';
import { GuardService } from './vscode/guardService.ts';
import { commands as commandIds } from './vscode/ids.ts';
import { Log } from './vscode/log.ts';
import { offerRestartOnNewSettings, presentState } from './vscode/presentState.ts';
import { SecretUsers } from './vscode/secretUsers.ts';
import { readAutoStart } from './vscode/settings.ts';
import { StatusBar } from './vscode/statusBar.ts';

let running: GuardService | undefined;

/** Puts the parts together; no logic of its own. */
export function activate(context: ExtensionContext): void {
  const channel = window.createOutputChannel('Ollama Guard', { log: true });
  const log = new Log(channel);
  const guard = new GuardService(new SecretUsers(context.secrets), log);
  const statusBar = new StatusBar(guard.state);
  running = guard;
  context.subscriptions.push(
    channel,
    guard,
    statusBar,
    presentState(guard, statusBar, log),
    offerRestartOnNewSettings(guard),
    ...registerCommands(guard, log),
  );
  if (readAutoStart()) void commands.executeCommand(commandIds.start);
}

/** Ends the threads; VS Code waits for this, up to five seconds. */
export async function deactivate(): Promise<void> {
  await running?.shutDown();
}
