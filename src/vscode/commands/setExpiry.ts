import { l10n, window } from 'vscode';
import { parseDuration } from '../../guard/share/duration.ts';
import { moment } from '../words.ts';
import { askUser, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';

/** Gives a user an end, or takes it away. */
export async function setExpiry({ guard }: CommandContext, name?: string): Promise<void> {
  const title = l10n.t('Set Expiry');
  const user = await askUser(guard.users, title, name);
  if (user === undefined) return;
  const choices = [
    { label: l10n.t('In one day'), duration: '1d' },
    { label: l10n.t('In one week'), duration: '1w' },
    { label: l10n.t('In 30 days'), duration: '30d' },
    { label: l10n.t('In 90 days'), duration: '90d' },
    { label: l10n.t('Never'), duration: undefined },
  ];
  const current =
    user.expiresAt === undefined
      ? l10n.t('{0} never expires now', user.name)
      : l10n.t('{0} expires {1} now', user.name, moment(user.expiresAt));
  const choice = await window.showQuickPick(choices, { title, placeHolder: current, ...staysOpen });
  if (choice === undefined) return;
  const lifetimeMs = choice.duration === undefined ? undefined : parseDuration(choice.duration);
  const expiresAt = lifetimeMs === undefined ? null : new Date(Date.now() + lifetimeMs).toISOString();
  await guard.edit({ kind: 'change-user', name: user.name, change: { expiresAt } });
  void window.showInformationMessage(
    expiresAt === null
      ? l10n.t('{0} never expires.', user.name)
      : l10n.t('{0} expires {1}.', user.name, moment(expiresAt)),
  );
}
