import { env, l10n, type QuickPickItem, window } from 'vscode';
import { type CurlSignIn, curlCommand } from '../../guard/share/curl.ts';
import { askShell, askUser, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';
import { makeApiKey } from './createApiKey.ts';
import { teammateAccess } from './teammateUrl.ts';

/** Copies a command that works when pasted. A stored password is never in it, because there is none. */
export async function copyCurl({ guard, done }: CommandContext, name?: string): Promise<void> {
  const title = l10n.t('Copy curl Command');
  const user = await askUser(guard.users, title, name);
  if (user === undefined) return;
  const { url, trust } = teammateAccess(guard.endpoint);

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
    ...staysOpen,
  });
  if (credential === undefined) return;
  const shell = await askShell(title);
  if (shell === undefined) return;

  const signIn: CurlSignIn =
    credential === newKey ? { apiKey: await makeApiKey(guard, user.name, 'curl') } : { user: user.name };
  await env.clipboard.writeText(curlCommand(url, signIn, shell, trust));
  done('send');
  void window.showInformationMessage(
    guard.endpoint !== undefined
      ? l10n.t('Copied a curl command for {0}.', user.name)
      : l10n.t('Copied a curl command for {0}. It works once Ollama Guard is started.', user.name),
  );
}
