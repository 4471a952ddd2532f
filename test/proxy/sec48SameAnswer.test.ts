// SEC-48: a distinct answer for revoked, disabled or expired credentials tells which names and keys exist.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { revokeApiKey, type User } from '../../src/guard/identity/users.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { basic, team, withPerson } from '../support/people.ts';

const past = '2020-01-01T00:00:00.000Z';

/** The team, a user who has run out, one whose key has, and one whose key was revoked. */
function createUsers() {
  const expired = withPerson(team.users, 'erin', 'member');
  const oldKey = withPerson(expired.users, 'olaf', 'member');
  const revoked = withPerson(oldKey.users, 'rita', 'member');
  const users = revokeApiKey(revoked.users, revoked.person.keyId).map((user): User => {
    if (user.name === 'erin') return { ...user, expiresAt: past };
    return user.name === 'olaf' ? { ...user, keys: user.keys.map((key) => ({ ...key, expiresAt: past })) } : user;
  });
  return { users, expired: expired.person, oldKey: oldKey.person, revoked: revoked.person };
}

test('SEC-48: unknown, wrong, revoked and expired credentials are refused alike', async (t) => {
  const upstream = await startFakeOllama(t);
  const { users, expired, oldKey, revoked } = createUsers();
  const wrong = {
    'unknown user': basic('nobody', 'x'),
    'wrong password': basic('mia', 'x'),
    'empty password': basic('mia', ''),
    'password of 73 bytes': basic('mia', 'x'.repeat(73)),
    'user name in another case': basic('MIA', team.mia.password),
    'expired user by password': expired.basic,
    'expired user by key': expired.bearer,
    'expired key': oldKey.bearer,
    'revoked key': revoked.bearer,
    'unknown key': `Bearer og_${'a'.repeat(10)}_${'A'.repeat(43)}`,
    'wrong secret of a known key': `Bearer ${team.mia.key.slice(0, 14)}${'A'.repeat(43)}`,
    'the key of another user': basic('vera', team.mia.key),
    'no form of ours': 'Bearer sk-1234567890',
  };
  const answers = new Map<string, string>();
  for (const [what, authorization] of Object.entries(wrong)) {
    // A guard of its own for each, so that the limiter has no say.
    const guard = await startGuard(t, upstream, { users });
    const { statusLine, headers, text } = await guard.call({ headers: { authorization } });
    answers.set(what, JSON.stringify([statusLine, { ...headers, date: '' }, text]));
  }
  const guard = await startGuard(t, upstream, { users });
  const { statusLine, headers, text } = await guard.call({});
  const none = JSON.stringify([statusLine, { ...headers, date: '' }, text]);
  for (const [what, answer] of answers) assert.equal(answer, none, what);
  assert.match(none, /401/);
  assert.equal(upstream.connections, 0);
});

test("SEC-48: the owner's log tells the difference", async (t) => {
  const upstream = await startFakeOllama(t);
  const { users, oldKey } = createUsers();
  const guard = await startGuard(t, upstream, { users });
  await guard.call({ headers: { authorization: oldKey.bearer } });
  assert.equal((await guard.event('sign-in-failed')).reason, 'expired API key');
});
