import { findUser, type User } from '../guard/identity/users.ts';
import { curlCommand } from '../guard/share/curl.ts';
import { defaultShell } from '../guard/share/shell.ts';
import type { Trust } from '../guard/share/trust.ts';
import { UsageError } from './usageError.ts';
import { barredWords, lettingIn, noUserYet } from './words.ts';

/** Where the command goes, and what curl has to trust there. */
export interface CurlTarget {
  readonly url: string;
  readonly trust?: Trust | undefined;
}

/**
 * The command of `ollama-guard curl [USER]`, which asks for the password when it runs, and what is to be known of it.
 *
 * @param at now, in milliseconds since the epoch.
 * @throws UsageError when a user has to be named, GuardError `user-unknown`.
 */
export function curlFor(
  users: readonly User[],
  name: string | undefined,
  { url, trust }: CurlTarget,
  at: number,
): { readonly command: string; readonly notes: readonly string[] } {
  const [first, ...others] = users;
  if (name === undefined && others.length > 0) {
    throw new UsageError(`There are several users: ${users.map((user) => user.name).join(', ')}. Name one of them.`);
  }
  const user = name === undefined ? first : findUser(users, name);
  if (user === undefined) throw new UsageError(noUserYet);
  return {
    command: curlCommand(url, { user: user.name }, defaultShell(process.platform), trust),
    notes: notesOn(user, at),
  };
}

function notesOn(user: User, at: number): readonly string[] {
  const { name, passwordHash } = user;
  const barred = barredWords(user, at);
  return [
    ...(barred === undefined ? [] : [`${barred} The command is answered 401 until you run: ${lettingIn(user)}`]),
    ...(passwordHash === undefined
      ? [`${name} has no password: an API key is what curl asks for. Make one: ollama-guard key add ${name}`]
      : []),
  ];
}
