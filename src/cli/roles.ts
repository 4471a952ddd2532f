import { resolvePolicy, roleNames } from '../guard/policy/policy.ts';
import type { PolicyFile } from './policyFile.ts';
import { UsageError } from './usageError.ts';

/**
 * Sees to it that a role is one that somebody can have.
 *
 * @param role undefined for none in particular.
 * @throws UsageError that names those there are, GuardError `policy-invalid`, `data-unavailable`.
 */
export async function demandRole(file: PolicyFile, role: string | undefined): Promise<void> {
  if (role === undefined || roleNames.includes(role)) return;
  const { roles } = resolvePolicy((await file.read()) ?? {});
  if (roles.has(role)) return;
  throw new UsageError(`There is no role ${JSON.stringify(role)}. Those there are: ${[...roles.keys()].join(', ')}.`);
}
