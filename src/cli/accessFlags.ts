import { type Command, Option } from 'commander';
import type { User, UserChange } from '../guard/identity/users.ts';
import type { Limits, ModelRules } from '../guard/policy/policyDocument.ts';
import { parseLifetime, parseModels } from './options.ts';

/** What a user is given, as it is written. What is left out stays as it is. */
export interface AccessFlags {
  readonly role?: string;
  readonly models?: readonly string[];
  readonly denyModels?: readonly string[];
  /** Takes away the rules about models that the user has of its own, before the two above. */
  readonly allModels?: true;
  /** From now on, in milliseconds. */
  readonly expires?: number;
  /** False takes the end away. */
  readonly expiry?: boolean;
  /** These are limits; `none` takes one away. */
  readonly rpm?: number | 'none';
  readonly tokensPerMinute?: number | 'none';
  readonly tokensPerDay?: number | 'none';
  readonly concurrent?: number | 'none';
}

const limitFlags = [
  { flag: 'rpm', limit: 'requestsPerMinute' },
  { flag: 'tokensPerMinute', limit: 'tokensPerMinute' },
  { flag: 'tokensPerDay', limit: 'tokensPerDay' },
  { flag: 'concurrent', limit: 'concurrentRequests' },
] as const satisfies readonly { readonly flag: keyof AccessFlags; readonly limit: keyof Limits }[];

/** Adds the flags that `user add` and `user set` have in common. */
export function addAccessFlags(command: Command, parseNumber: (text: string) => number | 'none'): Command {
  const limitOption = (flags: string, description: string) => new Option(flags, description).argParser(parseNumber);
  return command
    .option('--role <role>', 'viewer, member, admin, owner or a role of policy.json')
    .addOption(new Option('--models <globs>', "the models it may use, such as 'llama3*,qwen*'").argParser(parseModels))
    .addOption(new Option('--deny-models <globs>', 'models it may not use').argParser(parseModels))
    .addOption(
      new Option('--expires <time>', 'is let in no more after this time, such as 7d or 12h').argParser(parseLifetime),
    )
    .addOption(limitOption('--rpm <number>', 'requests a minute'))
    .addOption(limitOption('--tokens-per-minute <number>', 'tokens a minute, of prompts and answers'))
    .addOption(limitOption('--tokens-per-day <number>', 'tokens a day'))
    .addOption(limitOption('--concurrent <number>', 'requests at once'));
}

/**
 * What the flags change of a user.
 *
 * @param at now, in milliseconds since the epoch.
 */
export function changeOf(user: Pick<User, 'models' | 'limits'>, flags: AccessFlags, at: number): UserChange {
  const { role, expires, expiry } = flags;
  const models = modelsAfter(user.models, flags);
  const limits = limitsAfter(user.limits, flags);
  return {
    ...(role !== undefined && { role }),
    ...(models && { models: orNull(models) }),
    ...(limits && { limits: orNull(limits) }),
    ...(expires !== undefined && { expiresAt: new Date(at + expires).toISOString() }),
    ...(expiry === false && { expiresAt: null }),
  };
}

function modelsAfter(
  before: ModelRules | undefined,
  { models, denyModels, allModels }: AccessFlags,
): ModelRules | undefined {
  if (models === undefined && denyModels === undefined && allModels === undefined) return undefined;
  return {
    ...(allModels ? {} : before),
    ...(models && { allow: [...models] }),
    ...(denyModels && { deny: [...denyModels] }),
  };
}

function limitsAfter(before: Limits | undefined, flags: AccessFlags): Limits | undefined {
  if (limitFlags.every(({ flag }) => flags[flag] === undefined)) return undefined;
  const counts = limitFlags.map(({ flag, limit }) => [limit, flags[flag] ?? before?.[limit]] as const);
  return Object.fromEntries(counts.filter(([, count]) => typeof count === 'number'));
}

function orNull<Value extends object>(value: Value): Value | null {
  return Object.keys(value).length === 0 ? null : value;
}
