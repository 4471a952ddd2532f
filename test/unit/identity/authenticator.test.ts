import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import bcrypt from 'bcryptjs';
import { createFailedLogins } from '../../../src/guard/admission/failedLogins.ts';
import { Authenticator, type ComparePassword, type Origin } from '../../../src/guard/identity/authenticator.ts';
import type { Credential } from '../../../src/guard/identity/credentials.ts';
import { setPasswordHash, type User } from '../../../src/guard/identity/users.ts';
import { team, testCost } from '../../support/people.ts';

const origin: Origin = { address: '192.0.2.1', confidential: true };
const minute = 60_000;
const miaByPassword: Credential = { kind: 'password', user: 'mia', password: team.mia.password };
const miaByKey: Credential = { kind: 'key', id: team.mia.keyId, text: team.mia.key };

/** An authenticator with a clock that a test moves. */
function create(users: readonly User[] = team.users, comparePassword: ComparePassword = bcrypt.compare) {
  const clock = { time: Date.parse('2026-01-01T00:00:00Z') };
  const compares: string[] = [];
  const now = () => clock.time;
  const authenticator = new Authenticator({
    comparePassword: (password, hash) => {
      compares.push(hash);
      return comparePassword(password, hash);
    },
    failedLogins: createFailedLogins(undefined, now),
    now,
  });
  authenticator.setUsers(users);
  const signIn = async (credential: Credential) => {
    const outcome = await authenticator.signIn(credential, origin);
    return 'identity' in outcome ? outcome.identity.user.name : outcome.refusal;
  };
  return { authenticator, clock, compares, signIn };
}

const until = (expiresAt: string) => team.users.map((user): User => ({ ...user, expiresAt }));

test('a key and a remembered password are answered at once, without a promise', async () => {
  const { authenticator, signIn } = create();
  assert.ok(!(authenticator.signIn(miaByKey, origin) instanceof Promise));
  assert.equal(await signIn(miaByPassword), 'mia');
  assert.ok(!(authenticator.signIn(miaByPassword, origin) instanceof Promise));
});

test('the owner learns that somebody is switched off or has run out, who gives the right password', async () => {
  const reasonOf = async (users: readonly User[], password: string) => {
    const { authenticator } = create(users);
    const outcome = await authenticator.signIn({ ...miaByPassword, password }, origin);
    return 'refusal' in outcome ? `${outcome.refusal}: ${outcome.reason}` : outcome.identity.user.name;
  };
  const disabled = team.users.map((user): User => ({ ...user, disabled: true }));
  const expired = until('2025-01-01T00:00:00Z');
  assert.equal(await reasonOf(disabled, team.mia.password), 'unauthenticated: disabled user');
  assert.equal(await reasonOf(expired, team.mia.password), 'unauthenticated: expired user');
  for (const users of [disabled, expired]) {
    assert.equal(await reasonOf(users, 'wrong'), 'unauthenticated: wrong password');
  }
});

test('a verified password is remembered for ten minutes', async () => {
  const { clock, compares, signIn } = create();
  await signIn(miaByPassword);
  clock.time += 9 * minute;
  await sleep(5);
  assert.equal(await signIn(miaByPassword), 'mia');
  assert.equal(compares.length, 1);
  clock.time += 2 * minute;
  await sleep(5);
  assert.equal(await signIn(miaByPassword), 'mia');
  assert.equal(compares.length, 2);
});

test('SEC-45: expiry is checked on every request, remembered or not', async () => {
  const { clock, signIn, authenticator } = create(until('2026-01-01T00:01:00.000Z'));
  assert.equal(await signIn(miaByPassword), 'mia');
  assert.equal(await signIn(miaByKey), 'mia');
  const outcome = await authenticator.signIn(miaByPassword, origin);
  assert.ok('identity' in outcome && authenticator.isCurrent(outcome.identity));
  clock.time += minute;
  assert.equal(await signIn(miaByPassword), 'unauthenticated');
  assert.equal(await signIn(miaByKey), 'unauthenticated');
  assert.equal(authenticator.isCurrent(outcome.identity), false);
});

test('a password that changes while it is being compared does not let its old form in', async () => {
  const compare = Promise.withResolvers<boolean>();
  const { authenticator, signIn } = create(team.users, () => compare.promise);
  const pending = signIn(miaByPassword);
  await Promise.resolve();
  authenticator.setUsers(setPasswordHash(team.users, 'mia', bcrypt.hashSync('new', testCost)));
  compare.resolve(true);
  assert.equal(await pending, 'unauthenticated');
});

test('a user who is removed while the password is being compared does not get in', async () => {
  const compare = Promise.withResolvers<boolean>();
  const { authenticator, signIn } = create(team.users, () => compare.promise);
  const pending = signIn(miaByPassword);
  await Promise.resolve();
  authenticator.setUsers([]);
  compare.resolve(true);
  assert.equal(await pending, 'unauthenticated');
});

test('a new user of an old name does not inherit what was remembered', async () => {
  const { authenticator, compares, signIn } = create();
  await signIn(miaByPassword);
  authenticator.setUsers(team.users.map((user) => (user.name === 'mia' ? { ...user, id: 'abcdefghjk' } : user)));
  await signIn(miaByPassword);
  assert.equal(compares.length, 2);
});

test('a compare that fails (its thread died) lets nobody in, and the next one is tried', async () => {
  let dead = true;
  const { signIn } = create(team.users, async (password, hash) => {
    if (dead) throw new Error('the hash thread died');
    return bcrypt.compare(password, hash);
  });
  await assert.rejects(signIn(miaByPassword));
  dead = false;
  assert.equal(await signIn(miaByPassword), 'mia');
});

test('SEC-50: the single flight is for one name and one password', async () => {
  const compare = Promise.withResolvers<boolean>();
  const { compares, signIn } = create(team.users, () => compare.promise);
  const credential = (user: string, password: string): Credential => ({ kind: 'password', user, password });
  const all = [signIn(credential('ab', 'c')), signIn(credential('a', 'bc')), signIn(credential('ab', 'c'))];
  compare.resolve(false);
  await Promise.all(all);
  assert.equal(compares.length, 2);
});

test('identities are current while their user, password and key are', async () => {
  const { authenticator } = create();
  const byPassword = await authenticator.signIn(miaByPassword, origin);
  const byKey = await authenticator.signIn(miaByKey, origin);
  assert.ok('identity' in byPassword && 'identity' in byKey);
  const current = (users: readonly User[]) => {
    authenticator.setUsers(users);
    return [authenticator.isCurrent(byPassword.identity), authenticator.isCurrent(byKey.identity)];
  };
  assert.deepEqual(current(team.users), [true, true]);
  assert.deepEqual(current(team.users.map((user) => ({ ...user, keys: [] }))), [true, false]);
  assert.deepEqual(current(setPasswordHash(team.users, 'mia', bcrypt.hashSync('n', testCost))), [false, true]);
  assert.deepEqual(current(team.users.map((user) => ({ ...user, id: 'abcdefghjk' }))), [false, false]);
  assert.deepEqual(current([]), [false, false]);
});
