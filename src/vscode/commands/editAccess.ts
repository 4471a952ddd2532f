import { l10n, type QuickPickItem, ThemeIcon, window } from 'vscode';
import { findUser, type User } from '../../guard/identity/users.ts';
import { accessOf, resolvePolicy } from '../../guard/policy/policy.ts';
import { accessWords, limitWords } from '../accessWords.ts';
import { moment } from '../words.ts';
import { askRole } from './addUser.ts';
import { askUser, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';
import { editLimits } from './editLimits.ts';
import { editModels } from './editModels.ts';
import { editPublicKeys, labelOf } from './publicKeys.ts';
import { setExpiry } from './setExpiry.ts';

/** One thing of a user's access, with its present value, and how it is changed. */
interface AccessItem extends QuickPickItem {
  change(): Promise<void>;
}

/** Shows what a user may do and changes it, one thing after the other, until it is left. */
export async function editAccess(context: CommandContext, name?: string): Promise<void> {
  const { guard, done } = context;
  const chosen = await askUser(guard.users, l10n.t('Edit Access'), name);
  if (chosen === undefined) return;
  for (;;) {
    const user = findUser(guard.users, chosen.name);
    const item = await window.showQuickPick(itemsOf(context, user), {
      title: l10n.t('Access of {0}', user.name),
      placeHolder: l10n.t('Choose what to change'),
      ...staysOpen,
    });
    if (item === undefined) return;
    await item.change();
    if (JSON.stringify(findUser(guard.users, user.name)) !== JSON.stringify(user)) done('access');
  }
}

function itemsOf(context: CommandContext, user: User): readonly AccessItem[] {
  const { models, limits } = accessOf(resolvePolicy(context.guard.policy), user);
  const none = l10n.t('none');
  return [
    {
      label: l10n.t('Role'),
      description: user.role,
      iconPath: new ThemeIcon('shield'),
      change: () => editRole(context, user),
    },
    {
      label: l10n.t('Models'),
      description: accessWords(models),
      iconPath: new ThemeIcon('symbol-misc'),
      change: () => editModels(context, user),
    },
    {
      label: l10n.t('Limits'),
      description: limitWords(limits).join(', ') || none,
      iconPath: new ThemeIcon('dashboard'),
      change: () => editLimits(context, user.name),
    },
    {
      label: l10n.t('Expires'),
      description: user.expiresAt === undefined ? l10n.t('never') : moment(user.expiresAt),
      iconPath: new ThemeIcon('calendar'),
      change: () => setExpiry(context, user.name),
    },
    {
      label: l10n.t('Public Keys'),
      description: user.publicKeys?.map(labelOf).join(', ') ?? none,
      iconPath: new ThemeIcon('key'),
      change: () => editPublicKeys(context, user),
    },
  ];
}

async function editRole({ guard }: CommandContext, user: User): Promise<void> {
  const role = await askRole(guard, l10n.t('Role of {0}', user.name), { now: user.role });
  if (role !== undefined) await guard.edit({ kind: 'change-user', name: user.name, change: { role } });
}
