import { isExpired, type User } from '../guard/identity/users.ts';
import type { Limits, ModelRules } from '../guard/policy/policyDocument.ts';
import { counted } from '../guard/share/counted.ts';
import { moment } from './words.ts';

/** The limits in words, one of each. */
const limitNouns: Readonly<Record<keyof Limits, readonly [what: string, per: string]>> = {
  requestsPerMinute: ['request', 'a minute'],
  tokensPerMinute: ['token', 'a minute'],
  tokensPerDay: ['token', 'a day'],
  concurrentRequests: ['request', 'at once'],
};

/**
 * What a user has beside name, role and keys; nothing for most.
 *
 * @param at now, in milliseconds since the epoch.
 */
export function accessWords(
  { models = {}, limits = {}, expiresAt, disabled }: Pick<User, 'models' | 'limits' | 'expiresAt' | 'disabled'>,
  at: number,
): readonly string[] {
  return [
    ...modelWords(models),
    ...limitWords(limits),
    ...(expiresAt ? [expiryWords({ expiresAt }, at)] : []),
    ...(disabled ? ['disabled'] : []),
  ];
}

/** When a user or a key runs out, or did. */
export function expiryWords({ expiresAt }: { readonly expiresAt?: string | undefined }, at: number): string {
  if (expiresAt === undefined) return 'never expires';
  return `${isExpired({ expiresAt }, at) ? 'expired' : 'expires'} ${moment(expiresAt)}`;
}

/** Rules about models. */
export function modelWords({ allow, deny = [] }: ModelRules): readonly string[] {
  return [
    ...(allow ? [`models ${allow.join(', ') || 'none'}`] : []),
    ...(deny.length > 0 ? [`not ${deny.join(', ')}`] : []),
  ];
}

/** Limits, those that there are. */
export function limitWords(limits: Limits): readonly string[] {
  return Object.entries(limitNouns).flatMap(([limit, [what, per]]) => {
    const count = limits[limit as keyof Limits];
    return count === undefined ? [] : [`${counted(count, what)} ${per}`];
  });
}
