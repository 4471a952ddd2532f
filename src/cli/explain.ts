import { refusalMessage, refusalStatus } from '../guard/answers.ts';
import { namesakeOf, type User } from '../guard/identity/users.ts';
import { explain, type Question } from '../guard/policy/explain.ts';
import { resolvePolicy } from '../guard/policy/policy.ts';
import type { PolicyFile } from './policyFile.ts';
import type { Terminal } from './terminal.ts';
import type { UsersFile } from './usersFile.ts';
import { barredWords } from './words.ts';

/** What `explain` works with. */
export interface ExplainPorts {
  readonly file: UsersFile;
  readonly policy: PolicyFile;
  readonly terminal: Terminal;
}

/**
 * `ollama-guard explain`: yes or no, and whether the user is let in nowhere; what the caller would be told; and the rules
 * that were asked, the one that decided last. Somebody who is no user may sign in by token; that takes the role of
 * `question`.
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
  const now = Date.now();
  const explanation = explain(resolved, users, { ...question, now });
  const { allowed, refusal, rules } = explanation;
  const told = refusal && { status: refusalStatus(refusal), message: refusalMessage(refusal) };
  if (json) {
    terminal.out(JSON.stringify({ allowed, ...(refusal && { refusal }), ...told, rules }, undefined, 2));
    return allowed;
  }
  const record = recordOf(users, question);
  const barred = refusal === 'unauthenticated' && record && barredWords(record, now);
  terminal.out(allowed ? 'yes' : ['no', ...(barred ? [barred] : [])].join(': '));
  if (told !== undefined) terminal.out(`${told.status} ${told.message}`);
  for (const { place, says } of rules) terminal.out(`${place}: ${says}`);
  if (refusal === 'unauthenticated' && record === undefined) {
    terminal.say(
      `There is no user ${question.user}. For somebody who signs in by token, name a role with --role ROLE.`,
    );
  }
  return allowed;
}

/** The user who is asked about; behind a token, one of that name in any letter case, who can bar it. */
function recordOf(users: readonly User[], { user, role }: Pick<Question, 'user' | 'role'>): User | undefined {
  if (role === undefined) return users.find(({ name }) => name === user);
  return namesakeOf(users, user);
}
