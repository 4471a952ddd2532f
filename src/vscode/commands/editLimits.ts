import { l10n, window } from 'vscode';
import { findUser, type User } from '../../guard/identity/users.ts';
import { accessOf, resolvePolicy } from '../../guard/policy/policy.ts';
import type { Limits } from '../../guard/policy/policyDocument.ts';
import { parseWholeNumber } from '../../guard/policy/wholeNumber.ts';
import { inDigits, type LimitName, limitLabel, limitNames } from '../accessWords.ts';
import { staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';

/** Changes how much a user may use, over what the role says, one limit after the other, until it is left. */
export async function editLimits({ guard }: CommandContext, name: string): Promise<void> {
  const title = l10n.t('Limits of {0}', name);
  for (;;) {
    const user = findUser(guard.users, name);
    const ofRole = accessOf(resolvePolicy(guard.policy), { role: user.role }).limits;
    const items = limitNames.map((limit) => ({
      label: limitLabel(limit),
      description: valueWords(user.limits?.[limit], ofRole[limit]),
      limit,
    }));
    const placeHolder = l10n.t('Choose what to change');
    const item = await window.showQuickPick(items, { title, placeHolder, ...staysOpen });
    if (item === undefined) return;
    const limits = await askLimit(`${title}: ${item.label}`, user, item.limit);
    if (limits === undefined) continue;
    const change = { limits: Object.keys(limits).length === 0 ? null : limits };
    await guard.edit({ kind: 'change-user', name, change });
  }
}

function valueWords(own: number | undefined, ofRole: number | undefined): string {
  if (own !== undefined) return inDigits(own);
  return ofRole === undefined ? l10n.t('no limit') : l10n.t('{0}, as the role says', inDigits(ofRole));
}

/** The user's own limits with one of them changed. */
async function askLimit(title: string, { limits = {} }: User, name: LimitName): Promise<Limits | undefined> {
  const { [name]: before, ...others } = limits;
  const text = await window.showInputBox({
    title,
    prompt: l10n.t('A whole number above 0. Leave it empty to go by the role.'),
    value: before === undefined ? '' : String(before),
    ignoreFocusOut: true,
    validateInput: (value) =>
      value === '' || parseWholeNumber(value) !== undefined
        ? undefined
        : l10n.t('Type a whole number above 0, in digits alone.'),
  });
  if (text === undefined) return undefined;
  return text === '' ? others : { ...others, [name]: Number(text) };
}
