import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardError, type GuardErrorCode } from '../../../src/guard/errors.ts';
import { apiKeyId, matchesApiKey } from '../../../src/guard/identity/apiKey.ts';
import {
  addApiKey,
  addUser,
  changeUser,
  findUser,
  isExpired,
  parseUsers,
  removeUser,
  revokeApiKey,
  setPasswordHash,
  userNameProblem,
  whyBarred,
} from '../../../src/guard/identity/users.ts';
import { team } from '../../support/people.ts';

const [first] = team.users;
assert.ok(first?.passwordHash);
const { passwordHash } = first;
const withCode = (code: GuardErrorCode) => (error: unknown) => GuardError.is(error, code);

test('users are added, found and removed, and the list before stays as it was', () => {
  const users = addUser([], 'alice', 'member', passwordHash);
  assert.equal(findUser(users, 'alice').role, 'member');
  const both = addUser(users, 'bob', 'viewer', undefined);
  assert.equal('passwordHash' in findUser(both, 'bob'), false);
  assert.deepEqual(removeUser(both, 'bob'), users);
  assert.equal(users.length, 1);
});

test('a glob that was stored before it was refused keeps nobody from being read', () => {
  const stored = team.users.map((user) => ({ ...user, models: { deny: ['secret:local'] } }));
  assert.deepEqual(parseUsers(stored), stored);
  assert.throws(() => changeUser(stored, 'mia', { models: { deny: ['secret:local'] } }), withCode('data-damaged'));
});

test('names that differ in case alone are one name', () => {
  const users = addUser([], 'Alice', 'member', passwordHash);
  assert.throws(() => addUser(users, 'aLICE', 'member', passwordHash), /There is a user "Alice" already\./);
  assert.throws(() => addUser(users, 'aLICE', 'member', passwordHash), withCode('user-exists'));
  assert.throws(() => findUser(users, 'alice'), /There is no user "alice", but one who is written "Alice"\./);
});

test('a user name is what a header, a shell and a log can carry', () => {
  for (const name of ['a', 'alice', 'a.b-c_d@example.org', '7', 'x'.repeat(64)]) {
    assert.equal(userNameProblem(name), undefined, name);
  }
  for (const name of ['', '-a', '.a', 'a b', 'a:b', 'ä', 'x'.repeat(65), 'a\n', '$(x)', "a'b", '__proto__']) {
    assert.notEqual(userNameProblem(name), undefined, name);
    assert.throws(() => addUser([], name, 'member', passwordHash), withCode('user-invalid'));
  }
});

test('a user is changed in place, and null takes a field away', () => {
  const expiresAt = '2030-01-01T00:00:00.000Z';
  const users = changeUser(team.users, first.name, { disabled: true, expiresAt });
  assert.deepEqual(findUser(users, first.name), { ...first, disabled: true, expiresAt });
  assert.deepEqual(changeUser(users, first.name, { disabled: null, expiresAt: null }), team.users);
  assert.deepEqual(parseUsers(JSON.parse(JSON.stringify(users))), users);
});

test('a change brings nothing along but what may be changed', () => {
  for (const change of [
    { role: 'Admin' },
    { name: 'root' },
    { id: team.users[1]?.id },
    { keys: [] },
    { disabled: false },
    JSON.parse('{"__proto__":{"role":"admin"}}'),
  ]) {
    assert.throws(() => changeUser(team.users, first.name, change), withCode('data-damaged'), JSON.stringify(change));
  }
});

test('two users with one id are not taken: one would be stored over the other', () => {
  assert.throws(() => parseUsers([first, { ...first, name: 'eve' }]), withCode('data-damaged'));
});

test('a user who is disabled or has expired is barred', () => {
  const at = Date.parse('2026-06-01T00:00:00.000Z');
  assert.equal(whyBarred(first, at), undefined);
  assert.equal(whyBarred({ ...first, disabled: true }, at), 'disabled');
  assert.equal(whyBarred({ ...first, expiresAt: '2026-06-01T00:00:00.000Z' }, at), 'expired');
  assert.equal(whyBarred({ ...first, expiresAt: '2026-06-01T00:00:00.001Z' }, at), undefined);
});

test('what is not there cannot be changed', () => {
  assert.throws(() => findUser([], 'x'), withCode('user-unknown'));
  assert.throws(() => removeUser(team.users, 'x'), withCode('user-unknown'));
  assert.throws(() => setPasswordHash(team.users, 'x', passwordHash), withCode('user-unknown'));
  assert.throws(() => addApiKey(team.users, 'x', 'label'), withCode('user-unknown'));
  assert.throws(() => revokeApiKey(team.users, 'aaaaaaaaaa'), withCode('key-unknown'));
});

test('an API key is kept as a digest, with its label and expiry, until it is revoked', () => {
  const expiresAt = new Date('2030-01-01T00:00:00Z');
  const { users, text } = addApiKey(team.users, 'mia', 'x'.repeat(200), expiresAt);
  const key = findUser(users, 'mia').keys.at(-1);
  assert.ok(key);
  assert.equal(key.id, apiKeyId(text));
  assert.equal(key.label.length, 100);
  assert.equal(key.expiresAt, '2030-01-01T00:00:00.000Z');
  assert.equal(matchesApiKey(text, key.sha256), true);
  assert.ok(!JSON.stringify(users).includes(text.slice(14)));
  assert.deepEqual(revokeApiKey(users, key.id), team.users);
});

test('expiry is at its very moment', () => {
  assert.equal(isExpired({}, Number.MAX_SAFE_INTEGER), false);
  assert.equal(isExpired({ expiresAt: '2026-01-01T00:00:00.000Z' }, Date.UTC(2026)), true);
  assert.equal(isExpired({ expiresAt: '2026-01-01T00:00:00.001Z' }, Date.UTC(2026)), false);
});

test('stored users are read back as they were written', () => {
  assert.deepEqual(parseUsers(JSON.parse(JSON.stringify(team.users))), team.users);
  assert.deepEqual(parseUsers([]), []);
});

test('stored users that are not understood are an error that names the place', () => {
  const damaged: readonly (readonly [place: RegExp, input: unknown])[] = [
    [/./, undefined],
    [/./, {}],
    [/./, 'users'],
    [/^0/, [null]],
    [/role/, [{ ...first, role: 'Owner' }]],
    [/role/, [{ ...first, role: '__proto__' }]],
    [/name/, [{ ...first, name: 'a b' }]],
    [/id/, [{ ...first, id: 'short' }]],
    [/passwordHash/, [{ ...first, passwordHash: 'plain text' }]],
    [/passwordHash/, [{ ...first, passwordHash: passwordHash.replace('$04$', '$31$') }]],
    [/createdAt/, [{ ...first, createdAt: 'yesterday' }]],
    [/expiresAt/, [{ ...first, expiresAt: '2026-13-01' }]],
    [/0/, [{ ...first, unknown: true }]],
    [/disabled/, [{ ...first, disabled: false }]],
    [/keys/, [{ ...first, keys: undefined }]],
    [/keys\.0\.sha256/, [{ ...first, keys: [{ ...first?.keys[0], sha256: 'AB' }] }]],
    [/keys\.0/, [{ ...first, keys: [{ ...first?.keys[0], secret: 'x' }] }]],
    [/twice/, [first, { ...first, name: first?.name.toUpperCase() }]],
  ];
  for (const [place, input] of damaged) {
    assert.throws(
      () => parseUsers(input),
      (error) => GuardError.is(error, 'data-damaged') && place.test(error.message),
      `${place}`,
    );
  }
});
