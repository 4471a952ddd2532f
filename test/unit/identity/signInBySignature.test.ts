/** Who gets in by a signature of the ollama command line, and for how long. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFailedLogins } from '../../../src/guard/admission/failedLogins.ts';
import { Authenticator, type Identity } from '../../../src/guard/identity/authenticator.ts';
import { type Credential, readCredential } from '../../../src/guard/identity/credentials.ts';
import { removePublicKey } from '../../../src/guard/identity/publicKey.ts';
import { changeUser, removeUser, type User } from '../../../src/guard/identity/users.ts';
import { createCliKey, signed, signedRequest, withPublicKey } from '../../support/ollamaCli.ts';
import { team } from '../../support/people.ts';

const start = Date.parse('2026-01-01T00:00:00Z');
const address = '192.0.2.1';
const key = createCliKey();
const users = withPublicKey(team.users, 'mia', key);
const keyId = users.find(({ name }) => name === 'mia')?.publicKeys?.[0]?.id ?? '';

/** An authenticator with a clock that a test moves. */
function create(known: readonly User[] = users) {
  const clock = { time: start };
  const now = () => clock.time;
  const authenticator = new Authenticator({
    comparePassword: async () => false,
    failedLogins: createFailedLogins(undefined, now),
    now,
  });
  authenticator.setUsers(known);
  const signIn = async (credential: Credential, confidential = true) => {
    const outcome = await authenticator.signIn(credential, { address, confidential });
    return 'identity' in outcome ? `${outcome.identity.user.name} by ${by(outcome.identity)}` : outcome.refusal;
  };
  return { authenticator, clock, signIn };
}

const by = ({ publicKeyId }: Identity) => (publicKeyId === keyId ? 'its key' : publicKeyId);

/** The credential of a call that was signed at a moment. */
function signedAt(ms: number, by = key): Credential {
  const { headers, path = '' } = signedRequest(by, 'GET', '/api/tags', { at: Math.floor(ms / 1_000) });
  return readCredential({ authorization: headers?.authorization }, { method: 'GET', target: path });
}

describe('a signature', () => {
  it('lets the user in whose key it is, at once and as often as it comes', async () => {
    const { authenticator, signIn } = create();
    const credential = signedAt(start);
    assert.ok(!(authenticator.signIn(credential, { address, confidential: true }) instanceof Promise));
    // Two like calls in one second carry one signature.
    for (let i = 0; i < 20; i++) assert.equal(await signIn(credential), 'mia by its key');
  });

  it('SEC-61: is good for a minute before and after', async () => {
    for (const [seconds, good] of [
      [-61, false],
      [-60, true],
      [60, true],
      [61, false],
    ] as const) {
      const { signIn } = create();
      assert.equal(await signIn(signedAt(start + seconds * 1_000)), good ? 'mia by its key' : 'unauthenticated');
    }
  });

  it('SEC-61: is of no use in clear, whoever made it, and tells nothing there', async () => {
    const refusals = [
      signedAt(start),
      signedAt(start, createCliKey()),
      signedAt(start - 3_600_000),
      readCredential({ authorization: signed(key, 'x') }, { method: 'GET', target: `/api/tags?ts=${start / 1_000}` }),
    ].map(async (credential) => {
      const { authenticator } = create();
      return authenticator.signIn(credential, { address, confidential: false });
    });
    for (const refusal of await Promise.all(refusals)) {
      assert.deepEqual(refusal, { refusal: 'signature-over-http', reason: 'signature over plain HTTP' });
    }
  });

  it('SEC-48: is refused alike when it is wrong, unknown, stale, or of a key or user that has ended', async () => {
    const past = new Date(start).toISOString();
    const forged = signedAt(start);
    if (forged.kind === 'signature') forged.signature.signature[0] = (forged.signature.signature[0] ?? 0) ^ 1;
    const cases: Record<string, readonly [readonly User[], Credential]> = {
      'wrong signature': [users, forged],
      'unknown public key': [users, signedAt(start, createCliKey())],
      'signature of another time': [users, signedAt(start - 61_000)],
      'expired public key': [withPublicKey(team.users, 'mia', key, { expiresAt: past }), signedAt(start)],
      'disabled user': [changeUser(users, 'mia', { disabled: true }), signedAt(start)],
      'expired user': [changeUser(users, 'mia', { expiresAt: past }), signedAt(start)],
    };
    for (const [reason, [known, credential]] of Object.entries(cases)) {
      const { authenticator } = create(known);
      const outcome = authenticator.signIn(credential, { address, confidential: true });
      assert.deepEqual(outcome, { refusal: 'unauthenticated', reason });
    }
    assert.equal(await create(removePublicKey(users, keyId)).signIn(signedAt(start)), 'unauthenticated');
  });

  it('SEC-55: counts when it is wrong, and passes during a lock-out when it is right', async () => {
    const { signIn } = create();
    const outcomes = new Set<string>();
    for (let i = 0; i < 20; i++) outcomes.add(await signIn(signedAt(start, createCliKey())));
    assert.deepEqual([...outcomes], ['unauthenticated', 'too-many-failures']);
    assert.equal(await signIn(signedAt(start)), 'mia by its key');
  });

  it('gives an identity that is current while its key and user are', async () => {
    const { authenticator, clock } = create(
      withPublicKey(team.users, 'mia', key, { expiresAt: new Date(start + 1_000).toISOString() }),
    );
    const outcome = await authenticator.signIn(signedAt(start), { address, confidential: true });
    assert.ok('identity' in outcome);
    const { identity } = outcome;
    assert.equal(authenticator.isCurrent(identity), true);
    clock.time += 1_000;
    assert.equal(authenticator.isCurrent(identity), false);

    const same = { user: users.find(({ name }) => name === 'mia') as User, publicKeyId: keyId };
    const current = (known: readonly User[]) => {
      authenticator.setUsers(known);
      return authenticator.isCurrent(same);
    };
    assert.equal(current(users), true);
    // A password that changes is of no concern to it.
    assert.equal(current(users.map((user) => ({ ...user, passwordHash: team.users[0]?.passwordHash }))), true);
    assert.equal(current(removePublicKey(users, keyId)), false);
    assert.equal(current(changeUser(users, 'mia', { disabled: true })), false);
    assert.equal(current(users.map((user) => (user.name === 'mia' ? { ...user, id: 'abcdefghjk' } : user))), false);
    assert.equal(current(removeUser(users, 'mia')), false);
  });
});
