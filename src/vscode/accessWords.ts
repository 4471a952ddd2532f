import { env, l10n } from 'vscode';
import type { ModelAccess } from '../guard/policy/policy.ts';
import type { Limits, ModelRules } from '../guard/policy/policyDocument.ts';

/** The name of a limit in the policy. */
export type LimitName = keyof Limits;

/** Every limit, in the order in which they are shown. */
export const limitNames: readonly LimitName[] = [
  'requestsPerMinute',
  'tokensPerMinute',
  'tokensPerDay',
  'concurrentRequests',
];

/** A limit's name in words. */
export function limitLabel(name: LimitName): string {
  const labels: Readonly<Record<LimitName, string>> = {
    requestsPerMinute: l10n.t('Requests per minute'),
    tokensPerMinute: l10n.t('Tokens per minute'),
    tokensPerDay: l10n.t('Tokens per day'),
    concurrentRequests: l10n.t('Requests at once'),
  };
  return labels[name];
}

/** The limits that there are, such as `Requests per minute: 30`. */
export function limitWords(limits: Limits): readonly string[] {
  return limitNames.flatMap((name) => {
    const value = limits[name];
    return value === undefined ? [] : [l10n.t('{0}: {1}', limitLabel(name), inDigits(value))];
  });
}

/** Which models, such as `llama3*, qwen*; not *:cloud`. */
export function modelWords({ allow = ['*'], deny = [] }: ModelRules): string {
  const allowed = allow.length === 0 ? l10n.t('none') : allow.includes('*') ? l10n.t('all') : allow.join(', ');
  return deny.length === 0 ? allowed : l10n.t('{0}; not {1}', allowed, deny.join(', '));
}

/** Which models a user may use by what is the user's own and what is the role's. */
export function accessWords({ allow, deny }: ModelAccess): string {
  return modelWords({ allow: [...allow.globs], deny: deny.flatMap(({ globs }) => globs) });
}

/** A number in the person's own form. */
export function inDigits(value: number): string {
  return value.toLocaleString(env.language);
}
