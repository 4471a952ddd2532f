import { findUser, type User } from '../guard/identity/users.ts';
import { curlCommand } from '../guard/share/curl.ts';
import { defaultShell } from '../guard/share/shell.ts';
import type { Trust } from '../guard/share/trust.ts';
import { UsageError } from './usageError.ts';

/** Where the command goes, and what curl has to trust there. */
export interface CurlTarget {
  readonly url: string;
  readonly trust?: Trust | undefined;
}

/**
 * The command of `ollama-guard curl [USER]`, which asks for the password when it runs.
 *
 * @throws UsageError when a user has to be named, GuardError `user-unknown`.
 */
export function curlFor(users: readonly User[], name: string | undefined, { url, trust }: CurlTarget): string {
  const [first, ...others] = users;
  if (name === undefined && others.length > 0) {
    throw new UsageError(`There are several users: ${users.map((user) => user.name).join(', ')}. Name one of them.`);
  }
  if (name === undefined && first === undefined) {
    throw new UsageError('There is no user yet. Add one: ollama-guard user add NAME');
  }
  const user = name === undefined ? first : findUser(users, name);
  return curlCommand(url, { user: user?.name ?? '' }, defaultShell(process.platform), trust);
}
