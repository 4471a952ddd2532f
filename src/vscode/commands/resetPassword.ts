import { l10n, window } from 'vscode';
import { setPasswordHash } from '../../guard/identity/users.ts';
import type { GuardService } from '../guardService.ts';
import { askPassword, askUser } from './ask.ts';
import { showPassword } from './showSecret.ts';

/** Gives a user a new password; the old one stops working at once. */
export async function resetPassword(guard: GuardService): Promise<void> {
  const title = l10n.t('Reset Password');
  const user = await askUser(await guard.users(), title);
  if (user === undefined) return;
  const chosen = await askPassword(title);
  if (chosen === undefined) return;
  const hash = await guard.hashPassword(chosen.password);
  await guard.updateUsers((users) => setPasswordHash(users, user.name, hash));
  if (chosen.generated) await showPassword(user.name, chosen.password);
  else void window.showInformationMessage(l10n.t('Changed the password of {0}.', user.name));
}
