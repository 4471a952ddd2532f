import { l10n, window } from 'vscode';
import { askUser } from './ask.ts';
import type { CommandContext } from './context.ts';

/** Makes the command that switches a user off, and ends what that user streams, or on again. */
export function switchUser(to: 'on' | 'off'): (context: CommandContext, name?: string) => Promise<void> {
  return async ({ guard }, name) => {
    const title = to === 'off' ? l10n.t('Disable User') : l10n.t('Enable User');
    const candidates = guard.users.filter(({ disabled }) => (disabled === true) === (to === 'on'));
    if (name === undefined && candidates.length === 0 && guard.users.length > 0) {
      void window.showInformationMessage(
        to === 'off' ? l10n.t('Every user is disabled already.') : l10n.t('No user is disabled.'),
      );
      return;
    }
    const user = await askUser(candidates, title, name);
    if (user === undefined) return;
    await guard.edit({ kind: 'change-user', name: user.name, change: { disabled: to === 'off' ? true : null } });
    void window.showInformationMessage(
      to === 'off'
        ? l10n.t('{0} is let in no more, until enabled again.', user.name)
        : l10n.t('{0} is let in again.', user.name),
    );
  };
}
