import type { User } from '../guard/identity/users.ts';
import { type Policy, type Role, resolvePolicy } from '../guard/policy/policy.ts';
import type { Clamps } from '../guard/policy/policyDocument.ts';
import { valueWords } from '../guard/policy/valueWords.ts';
import { limitWords, modelWords } from './accessWords.ts';
import type { PolicyFile } from './policyFile.ts';
import type { Terminal } from './terminal.ts';

/**
 * `ollama-guard policy check`: the roles as they are with the policy, and roles that somebody has and the policy does not
 * know.
 */
export async function policyCheck(terminal: Terminal, file: PolicyFile, users: readonly User[]): Promise<void> {
  const document = await file.read();
  terminal.say(document === undefined ? `There is no ${file.path}, and the defaults hold.` : `${file.path} is valid.`);
  const policy = resolvePolicy(document ?? {});
  for (const role of policy.roles.values()) terminal.out(roleWords(role).join('\t'));
  for (const { role, whose } of rolesInUse(policy, users)) {
    if (!policy.roles.has(role)) terminal.say(`There is no role ${role}, and so ${whose} may do nothing.`);
  }
}

/** `ollama-guard policy show`: what holds, defaults included, as JSON. */
export async function policyShow(terminal: Terminal, file: PolicyFile): Promise<void> {
  const { roles, ...rest } = resolvePolicy((await file.read()) ?? {});
  const named = [...roles].map(([name, { name: _name, ...role }]) => [name, role] as const);
  terminal.out(JSON.stringify({ roles: Object.fromEntries(named), ...rest }, undefined, 2));
}

function rolesInUse({ issuers }: Policy, users: readonly User[]): readonly { role: string; whose: string }[] {
  return [
    ...users.map(({ name, role }) => ({ role, whose: name })),
    ...issuers.flatMap(({ issuer, roles = {}, defaultRole }) =>
      [...Object.values(roles), ...(defaultRole === undefined ? [] : [defaultRole])].map((role) => ({
        role,
        whose: `whoever has it from ${issuer}`,
      })),
    ),
  ];
}

function roleWords({
  name,
  can,
  models: { allow, deny },
  cloud,
  clamps,
  limits,
  limitsPerKey,
  priority,
  weight,
}: Role): readonly string[] {
  return [
    name,
    can.join(', ') || 'nothing',
    ...modelWords({ ...(allow.includes('*') ? {} : { allow }), deny }),
    ...(cloud ? ['models of ollama.com'] : []),
    ...clampWords(clamps, can),
    ...limitWords(limits),
    ...limitWords(limitsPerKey).map((words) => `${words} per key`),
    ...(priority === 0 ? [] : [`priority ${priority}`]),
    ...(weight === 1 ? [] : [`weight ${weight}`]),
  ];
}

/** Who may not upload is held to nothing there. */
function clampWords({ uploadBytes, ...others }: Clamps, can: Role['can']): readonly string[] {
  const held = can.includes('manage') && uploadBytes !== undefined ? { ...others, uploadBytes } : others;
  return Object.entries(held).map(([name, value]) => `${name} ${valueWords(value)}`);
}
