import { GuardError } from '../guard/errors.ts';
import { findInvite, revokeInvite } from '../guard/identity/invite.ts';
import { isExpired } from '../guard/identity/users.ts';
import type { Terminal } from './terminal.ts';
import type { UsersFile } from './usersFile.ts';
import { moment } from './words.ts';

/** What commands on open invites work with. */
export interface InvitesPorts {
  readonly file: UsersFile;
  readonly terminal: Terminal;
}

/** `ollama-guard invite --list`: those that nobody has used yet, and that still can be. */
export async function inviteList({ file, terminal }: InvitesPorts): Promise<void> {
  const now = Date.now();
  const lines = (await file.read()).flatMap(({ name, invites = [] }) =>
    invites
      .filter((invite) => !isExpired(invite, now))
      .map(({ id, expiresAt }) => [id, name, `until ${moment(expiresAt)}`].join('\t')),
  );
  if (lines.length === 0) terminal.say('There is no open invite.');
  for (const line of lines) terminal.out(line);
}

/**
 * `ollama-guard invite --revoke ID`.
 *
 * @throws GuardError `invite-unknown`, and what storing throws.
 */
export async function inviteRevoke({ file, terminal }: InvitesPorts, id: string): Promise<void> {
  await file.update((users) => {
    if (findInvite(users, id) !== undefined) return revokeInvite(users, id);
    throw new GuardError('invite-unknown', `There is no invite ${JSON.stringify(id)}. See: ollama-guard invite --list`);
  });
  terminal.say(`Revoked invite ${id}. Its link does not work any more.`);
}
