import type { User } from '../guard/identity/users.ts';
import { type Policy, type QueuePolicy, type Role, resolvePolicy } from '../guard/policy/policy.ts';
import type { Clamps, TokenIssuer } from '../guard/policy/policyDocument.ts';
import { inList, valueWords } from '../guard/policy/valueWords.ts';
import { limitWords, modelWords } from './accessWords.ts';
import type { PolicyFile } from './policyFile.ts';
import type { Terminal } from './terminal.ts';
import { durationText, sizeWords } from './words.ts';

/**
 * `ollama-guard policy check`: roles, queue and issuers as they are with the policy, and roles that somebody has and the
 * policy does not know.
 */
export async function policyCheck(terminal: Terminal, file: PolicyFile, users: readonly User[]): Promise<void> {
  const document = await file.read();
  terminal.say(document === undefined ? `There is no ${file.path}, and the defaults hold.` : `${file.path} is valid.`);
  const policy = resolvePolicy(document ?? {});
  for (const role of policy.roles.values()) terminal.out(roleWords(role).join('\t'));
  terminal.out(queueWords(policy.queue));
  for (const issuer of policy.issuers) terminal.out(issuerWords(issuer));
  for (const { role, whose } of rolesInUse(policy, users)) {
    if (!policy.roles.has(role)) terminal.say(`There is no role ${role}, and so ${whose} may do nothing.`);
  }
}

/** `ollama-guard policy show`: what policy.json comes to, defaults included, in the form that it takes itself. */
export async function policyShow(terminal: Terminal, file: PolicyFile): Promise<void> {
  const { roles, queue, ...rest } = resolvePolicy((await file.read()) ?? {});
  const { maxWaitMs, ...numbers } = queue;
  const named = [...roles].map(([name, { name: _name, ...role }]) => [name, role] as const);
  const shown = {
    roles: Object.fromEntries(named),
    queue: { ...numbers, maxWait: durationText(maxWaitMs) },
    ...rest,
  };
  terminal.out(JSON.stringify(shown, undefined, 2));
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
  return Object.entries(held).map(([name, value]) => {
    const isSize = typeof value === 'number' && name.endsWith('Bytes');
    return `${name} ${isSize ? sizeWords(value) : valueWords(value)}`;
  });
}

function queueWords({ concurrency, length, maxWaitMs }: QueuePolicy): string {
  return `queue: ${concurrency} at once, ${length} waiting, ${durationText(maxWaitMs)} at most`;
}

function issuerWords({ issuer, audience, roles = {}, defaultRole }: TokenIssuer): string {
  const given = [
    ...Object.entries(roles).map(([held, role]) => `${held} = ${role}`),
    ...(defaultRole === undefined ? [] : [`otherwise ${defaultRole}`]),
  ];
  return `issuer ${issuer}: audience ${inList(audience)}, roles ${inList(given)}`;
}
