import { env, l10n, window } from 'vscode';
import { createApiKeyRecord } from '../../guard/identity/users.ts';
import type { GuardService } from '../guardService.ts';
import { askUser } from './ask.ts';
import type { CommandContext } from './context.ts';

/** Makes an API key, copies it once and shows it once. */
export async function createApiKey({ guard }: CommandContext, name?: string): Promise<void> {
  const title = l10n.t('Create API Key');
  const user = await askUser(guard.users, title, name);
  if (user === undefined) return;
  const label = await window.showInputBox({
    title,
    prompt: l10n.t('A label that tells what the key is for'),
    placeHolder: 'laptop',
    ignoreFocusOut: true,
  });
  if (label === undefined) return;
  const key = await makeApiKey(guard, user.name, label);
  await env.clipboard.writeText(key);
  void window.showInformationMessage(
    l10n.t('API key for {0}: {1} — it is on the clipboard and will not be shown again.', user.name, key),
  );
}

/** Makes and stores a key; its text is in the answer and nowhere else. */
export async function makeApiKey(guard: GuardService, name: string, label: string): Promise<string> {
  const { record, text } = createApiKeyRecord(label);
  await guard.edit({ kind: 'add-key', name, key: record });
  return text;
}
