import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GuardError, type GuardErrorCode } from '../../../src/guard/errors.ts';
import {
  createInvite,
  findInvite,
  insertInvite,
  inviteIdOf,
  inviteLifetimeMs,
  matchesInvite,
  redeemInvite,
  revokeInvite,
} from '../../../src/guard/identity/invite.ts';
import { applyEdit, type UserEdit } from '../../../src/guard/identity/userEdit.ts';
import {
  addUser,
  createApiKeyRecord,
  findUser,
  type InviteRecord,
  parseUsers,
  type User,
} from '../../../src/guard/identity/users.ts';

const day = 86_400_000;
const past = '2020-01-01T00:00:00.000Z';
const withCode = (code: GuardErrorCode) => (error: unknown) => GuardError.is(error, code);
const both = addUser(addUser([], 'alice', 'member'), 'bob', 'viewer');
const { record: key } = createApiKeyRecord('invite');

/** alice and bob, and an invite of alice's. */
function invited(accessMs?: number): { users: readonly User[]; invite: InviteRecord; code: string } {
  const { record, code } = createInvite(accessMs);
  return { users: insertInvite(both, 'alice', record), invite: record, code };
}

test('a new invite has its id inside, 128 random bits, and matches its own code alone', () => {
  const one = createInvite();
  const other = createInvite();
  assert.match(one.code, /^oi_[a-z2-9]{10}_[A-Za-z0-9_-]{22}$/);
  assert.equal(inviteIdOf(one.code), one.record.id);
  assert.equal(matchesInvite(one.code, one.record), true);
  assert.equal(matchesInvite(one.code, other.record), false);
  assert.equal(matchesInvite(one.code, undefined), false);
  assert.ok(!JSON.stringify(one.record).includes(one.code.slice(14)), 'only a digest is kept');
});

test('SEC-43: nothing but the exact form has an id', () => {
  const { code } = createInvite();
  const near = [` ${code}`, `${code} `, `${code}\n`, code.slice(0, -1), `${code}x`, code.toUpperCase(), `oi_${code}`];
  for (const text of [...near, code.replace('oi_', 'og_'), code.replaceAll('_', '-'), '']) {
    assert.equal(inviteIdOf(text), undefined, text);
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.equal(inviteIdOf(text), undefined);
      assert.equal(matchesInvite(text, createInvite().record), false);
    }),
    { numRuns: 200 },
  );
});

test('no other code matches, however little differs', () => {
  const { code, record } = createInvite();
  const character = fc.constantFrom(...'abcdefghijkmnpqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-');
  fc.assert(
    fc.property(fc.nat({ max: code.length - 1 }), character, (at, other) => {
      const changed = code.slice(0, at) + other + code.slice(at + 1);
      assert.equal(matchesInvite(changed, record), changed === code);
    }),
  );
});

test('an invite lasts for a day, or as long as the access it gives when that is shorter', () => {
  fc.assert(
    fc.property(fc.option(fc.integer({ min: 1, max: 400 * day }), { nil: undefined }), (accessMs) => {
      const { record } = createInvite(accessMs, 0);
      assert.equal(Date.parse(record.expiresAt), Math.min(inviteLifetimeMs, accessMs ?? inviteLifetimeMs));
      assert.equal(record.keyExpiresAt, accessMs === undefined ? undefined : new Date(accessMs).toISOString());
    }),
  );
});

test('it is exchanged for the key of its user, once', () => {
  const { users, invite } = invited();
  assert.equal(findInvite(users, invite.id)?.user.name, 'alice');
  const redeemed = redeemInvite(users, invite.id, key);
  assert.deepEqual(findUser(redeemed, 'alice').keys, [key]);
  assert.equal('invites' in findUser(redeemed, 'alice'), false);
  assert.deepEqual(findUser(redeemed, 'bob'), findUser(users, 'bob'));
  assert.throws(() => redeemInvite(redeemed, invite.id, key), withCode('invite-unknown'));
  assert.throws(() => revokeInvite(redeemed, invite.id), withCode('invite-unknown'));
});

test('it is not exchanged when it was revoked or has run out, or its user is let in nowhere', () => {
  const { users, invite } = invited();
  const edits: Readonly<Record<string, UserEdit>> = {
    revoked: { kind: 'revoke-invite', inviteId: invite.id },
    'user removed': { kind: 'remove-user', name: 'alice' },
    'user disabled': { kind: 'change-user', name: 'alice', change: { disabled: true } },
    'user expired': { kind: 'change-user', name: 'alice', change: { expiresAt: past } },
    used: { kind: 'redeem-invite', inviteId: invite.id, key },
  };
  for (const [what, edit] of Object.entries(edits)) {
    assert.throws(() => redeemInvite(applyEdit(users, edit), invite.id, key), withCode('invite-unknown'), what);
  }
  const { record: old } = createInvite(undefined, Date.now() - inviteLifetimeMs);
  assert.throws(() => redeemInvite(insertInvite(both, 'alice', old), old.id, key), withCode('invite-unknown'));
});

test('an invite of a user who is let in again works', () => {
  const { users, invite } = invited();
  const off = applyEdit(users, { kind: 'change-user', name: 'alice', change: { disabled: true } });
  const on = applyEdit(off, { kind: 'change-user', name: 'alice', change: { disabled: null } });
  assert.equal(findUser(redeemInvite(on, invite.id, key), 'alice').keys.length, 1);
});

test('pending invites survive every other edit', () => {
  const { users, invite } = invited();
  const { record: second } = createInvite();
  const edits: readonly UserEdit[] = [
    { kind: 'add-key', name: 'alice', key },
    { kind: 'revoke-key', keyId: key.id },
    { kind: 'change-user', name: 'alice', change: { expiresAt: '2100-01-01T00:00:00.000Z' } },
    { kind: 'remove-user', name: 'bob' },
    { kind: 'add-invite', name: 'alice', invite: second },
    { kind: 'revoke-invite', inviteId: second.id },
  ];
  const edited = edits.reduce(applyEdit, users);
  assert.deepEqual(findInvite(edited, invite.id)?.invite, invite);
  assert.equal(findUser(edited, 'alice').invites?.length, 1);
  assert.equal(findUser(redeemInvite(edited, invite.id, key), 'alice').keys.length, 1);
});

test('an invite that has run out is dropped when another is added, and none that has not', () => {
  const { record: old } = createInvite(undefined, Date.now() - 2 * day);
  const { record: one } = createInvite();
  const { record: other } = createInvite();
  const users = [old, one, other].reduce((all, invite) => insertInvite(all, 'alice', invite), both);
  assert.deepEqual(findUser(users, 'alice').invites, [one, other]);
  assert.throws(() => insertInvite(both, 'nobody', one), withCode('user-unknown'));
});

test('users with invites are read back as they were stored, and anything else about an invite is refused', () => {
  const { users, invite } = invited(7 * day);
  const stored = JSON.parse(JSON.stringify(users));
  assert.deepEqual(parseUsers(stored), users);
  const damaged: readonly object[] = [
    { ...invite, id: 'x' },
    { ...invite, sha256: invite.sha256.slice(1) },
    { ...invite, sha256: invite.sha256.toUpperCase() },
    { ...invite, expiresAt: undefined },
    { ...invite, expiresAt: 'tomorrow' },
    { ...invite, keyExpiresAt: 5 },
    { ...invite, code: 'oi_x' },
  ];
  for (const record of damaged) {
    const user = { ...findUser(users, 'alice'), invites: [record] };
    assert.throws(() => parseUsers([user]), withCode('data-damaged'), JSON.stringify(record));
  }
});
