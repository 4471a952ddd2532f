import { createInvite, insertInvite } from '../../src/guard/identity/invite.ts';
import { findUser, type InviteRecord, type User } from '../../src/guard/identity/users.ts';
import { joinPath } from '../../src/guard/share/inviteLink.ts';
import type { RawRequest } from './rawClient.ts';

/** Users one of whom is invited. */
export interface Invited {
  readonly users: readonly User[];
  readonly code: string;
  readonly invite: InviteRecord;
}

/** Invites a user. */
export function invited(
  users: readonly User[],
  name: string,
  { accessMs, now }: { readonly accessMs?: number; readonly now?: number } = {},
): Invited {
  const { record, code } = createInvite(accessMs, now);
  // Past insertInvite, which drops what has run out.
  const { invites = [] } = findUser(users, name);
  const added = insertInvite(users, name, record);
  const all = added.map((user) => (user.name === name ? { ...user, invites: [...invites, record] } : user));
  return { users: all, code, invite: record };
}

/** The request that exchanges a code. */
export function redeeming(code: string, headers: Readonly<Record<string, string>> = {}): RawRequest {
  return {
    method: 'POST',
    path: joinPath,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ code }),
  };
}
