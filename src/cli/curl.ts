import { findUser, type User } from '../guard/identity/users.ts';
import { shareUrl } from '../guard/share/address.ts';
import { curlCommand } from '../guard/share/curl.ts';
import { defaultShell } from '../guard/share/shell.ts';
import { UsageError } from './usageError.ts';

/**
 * The command of `ollama-guard curl [USER]`, which asks for the password when it runs.
 *
 * @throws UsageError when a user has to be named, GuardError `user-unknown`.
 */
export function curlFor(users: readonly User[], name: string | undefined, url: string): string {
  const [first, ...others] = users;
  if (name === undefined && others.length > 0) {
    throw new UsageError(`There are several users: ${users.map((user) => user.name).join(', ')}. Name one of them.`);
  }
  if (name === undefined && first === undefined) {
    throw new UsageError('There is no user yet. Add one: ollama-guard user add NAME');
  }
  const user = name === undefined ? first : findUser(users, name);
  return curlCommand(shareUrl(url), { user: user?.name ?? '' }, defaultShell(process.platform));
}
