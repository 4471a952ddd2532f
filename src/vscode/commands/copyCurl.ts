import { env, l10n, type QuickPickItem, window } from 'vscode';
import { endpointUrl } from '../../guard/config.ts';
import { shareUrl } from '../../guard/share/address.ts';
import { type CurlSignIn, curlCommand } from '../../guard/share/curl.ts';
import { defaultShell, type ShellId, shellIds, shells } from '../../guard/share/shell.ts';
import type { GuardService } from '../guardService.ts';
import { readGuardConfig } from '../settings.ts';
import { askUser } from './ask.ts';
import { makeApiKey } from './createApiKey.ts';

/** Copies a command that works when pasted. A stored password is never in it, because there is none. */
export async function copyCurl(guard: GuardService): Promise<void> {
  const title = l10n.t('Copy curl Command');
  const user = await askUser(await guard.users(), title);
  if (user === undefined) return;

  const newKey: QuickPickItem = {
    label: l10n.t('New API key'),
    detail: l10n.t('Made now and part of the command; revoke it any time'),
  };
  const askPassword: QuickPickItem = {
    label: l10n.t('Ask for the password'),
    detail: l10n.t('curl asks when it runs; nothing secret in the command'),
  };
  const credential = await window.showQuickPick([newKey, askPassword], {
    title,
    placeHolder: l10n.t('How does {0} sign in?', user.name),
  });
  if (credential === undefined) return;
  const shell = await askShell(title);
  if (shell === undefined) return;

  const { state } = guard;
  const config = readGuardConfig();
  const url = shareUrl(state.status === 'running' ? state.url : endpointUrl(config.host, config.port));
  const signIn: CurlSignIn =
    credential === newKey ? { apiKey: await makeApiKey(guard, user.name, 'curl') } : { user: user.name };
  await env.clipboard.writeText(curlCommand(url, signIn, shell));
  void window.showInformationMessage(
    state.status === 'running'
      ? l10n.t('Copied a curl command for {0}.', user.name)
      : l10n.t('Copied a curl command for {0}. It works once Ollama Guard is started.', user.name),
  );
}

async function askShell(title: string): Promise<ShellId | undefined> {
  const usual = defaultShell(process.platform);
  const ids = [usual, ...shellIds.filter((id) => id !== usual)];
  const items = ids.map((id) => ({ label: shells[id].name, id }));
  return (await window.showQuickPick(items, { title, placeHolder: l10n.t('Where will it be pasted?') }))?.id;
}
