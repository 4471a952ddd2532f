import { refusalMessage, refusalStatus } from '../guard/answers.ts';
import { explain, type Question } from '../guard/policy/explain.ts';
import { resolvePolicy } from '../guard/policy/policy.ts';
import type { PolicyFile } from './policyFile.ts';
import type { Terminal } from './terminal.ts';
import type { UsersFile } from './usersFile.ts';

/** What `explain` works with. */
export interface ExplainPorts {
  readonly file: UsersFile;
  readonly policy: PolicyFile;
  readonly terminal: Terminal;
}

/**
 * `ollama-guard explain`: yes or no, what the caller would be told, and the rules that were asked, the one that decided
 * last. Somebody who is no user may sign in by token; that takes the role of `question`.
 *
 * @returns whether it is a yes.
 */
export async function explainAccess(
  { file, policy, terminal }: ExplainPorts,
  question: Omit<Question, 'now'>,
  json: boolean,
): Promise<boolean> {
  const resolved = resolvePolicy((await policy.read()) ?? {});
  const users = await file.read();
  const explanation = explain(resolved, users, { ...question, now: Date.now() });
  const { allowed, refusal, rules } = explanation;
  const told = refusal && { status: refusalStatus(refusal), message: refusalMessage(refusal) };
  if (json) {
    terminal.out(JSON.stringify({ allowed, ...(refusal && { refusal }), ...told, rules }, undefined, 2));
    return allowed;
  }
  terminal.out(allowed ? 'yes' : 'no');
  if (told !== undefined) terminal.out(`${told.status} ${told.message}`);
  for (const { place, says } of rules) terminal.out(`${place}: ${says}`);
  const isUnknown = question.role === undefined && !users.some(({ name }) => name === question.user);
  if (refusal === 'unauthenticated' && isUnknown) {
    terminal.say(
      `There is no user ${question.user}. For somebody who signs in by token, name a role with --role ROLE.`,
    );
  }
  return allowed;
}
