import { l10n, window } from 'vscode';
import { askPassword, askUser } from './ask.ts';
import type { CommandContext } from './context.ts';
import { showPassword } from './showSecret.ts';

/** Gives a user a new password; the old one stops working at once. */
export async function resetPassword({ guard }: CommandContext, name?: string): Promise<void> {
  const title = l10n.t('Reset Password');
  const user = await askUser(guard.users, title, name);
  if (user === undefined) return;
  const chosen = await askPassword(title);
  if (chosen === undefined) return;
  const hash = await guard.hashPassword(chosen.password);
  await guard.edit({ kind: 'change-user', name: user.name, change: { passwordHash: hash } });
  if (chosen.generated) await showPassword(user.name, chosen.password);
  else void window.showInformationMessage(l10n.t('Changed the password of {0}.', user.name));
}
