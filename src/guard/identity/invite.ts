import { randomBytes } from 'node:crypto';
import { GuardError } from '../errors.ts';
import { createId, digestApiKey, matchesApiKey } from './apiKey.ts';
import { type ApiKeyRecord, findUser, type InviteRecord, isExpired, type User, whyBarred } from './users.ts';

/** An invite can be redeemed for this long, in milliseconds. */
export const inviteLifetimeMs = 24 * 3_600_000;

/** `oi_`, the invite's id and 128 random bits. */
const codePattern = /^oi_([a-z2-9]{10})_([A-Za-z0-9_-]{22})$/;

/**
 * Makes an invite. Its code is in the answer once and nowhere else; the record is what is kept.
 *
 * @param accessMs how long the API key works that it is exchanged for, in milliseconds from now; for good when left
 *   out. The invite itself does not outlive it.
 */
export function createInvite(
  accessMs?: number,
  now = Date.now(),
): { readonly record: InviteRecord; readonly code: string } {
  const id = createId();
  const code = `oi_${id}_${randomBytes(16).toString('base64url')}`;
  const record: InviteRecord = {
    id,
    sha256: digestApiKey(code).toString('hex'),
    createdAt: new Date(now).toISOString(),
    expiresAt: new Date(now + Math.min(inviteLifetimeMs, accessMs ?? inviteLifetimeMs)).toISOString(),
    ...(accessMs !== undefined && { keyExpiresAt: new Date(now + accessMs).toISOString() }),
  };
  return { record, code };
}

/** The id in a code; undefined when it is none. */
export function inviteIdOf(code: string): string | undefined {
  return codePattern.exec(code)?.[1];
}

/** Whether a code is that of an invite; in constant time, also when there is no invite to compare. */
export function matchesInvite(code: string, invite: InviteRecord | undefined): boolean {
  // 128 random bits need no slow hash either.
  return matchesApiKey(code, invite?.sha256);
}

/** The user and the invite of an id; undefined when there is none. */
export function findInvite(
  users: readonly User[],
  inviteId: string,
): { readonly user: User; readonly invite: InviteRecord } | undefined {
  for (const user of users) {
    const invite = user.invites?.find(({ id }) => id === inviteId);
    if (invite !== undefined) return { user, invite };
  }
  return undefined;
}

/** @throws GuardError `user-unknown`. */
export function insertInvite(users: readonly User[], name: string, invite: InviteRecord): readonly User[] {
  const user = findUser(users, name);
  const now = Date.now();
  // Nobody can redeem one that has run out, so it need not be kept.
  const invites = [...(user.invites ?? []).filter((other) => !isExpired(other, now)), invite];
  return users.map((candidate) => (candidate === user ? { ...user, invites } : candidate));
}

/**
 * Takes an invite away and gives its user the key. Asks everything again that was asked before the code was taken for
 * right: what is stored may have changed since.
 *
 * @throws GuardError `invite-unknown` when it is not there, was used already or has run out, or its user is let in
 *   nowhere.
 */
export function redeemInvite(users: readonly User[], inviteId: string, key: ApiKeyRecord): readonly User[] {
  const found = findInvite(users, inviteId);
  const now = Date.now();
  if (found === undefined || isExpired(found.invite, now) || whyBarred(found.user, now) !== undefined) throw unknown();
  const { user } = found;
  const redeemed = withoutInvite(user, inviteId);
  return users.map((candidate) => (candidate === user ? { ...redeemed, keys: [...redeemed.keys, key] } : candidate));
}

/** @throws GuardError `invite-unknown`. */
export function revokeInvite(users: readonly User[], inviteId: string): readonly User[] {
  const found = findInvite(users, inviteId);
  if (found === undefined) throw unknown();
  return users.map((candidate) => (candidate === found.user ? withoutInvite(candidate, inviteId) : candidate));
}

function withoutInvite({ invites = [], ...user }: User, inviteId: string): User {
  const left = invites.filter(({ id }) => id !== inviteId);
  return left.length === 0 ? user : { ...user, invites: left };
}

function unknown(): GuardError {
  return new GuardError('invite-unknown', 'This invite was used already, or has run out. Ask for a new one.');
}
