/** Who gets in by a JSON Web Token, and for how long; what a token holds is checked elsewhere. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFailedLogins } from '../../../src/guard/admission/failedLogins.ts';
import { Authenticator, type Identity } from '../../../src/guard/identity/authenticator.ts';
import type { Credential } from '../../../src/guard/identity/credentials.ts';
import type { TokenOutcome } from '../../../src/guard/identity/tokenVerifier.ts';
import type { User } from '../../../src/guard/identity/users.ts';
import { userOf } from '../../support/usersOf.ts';

const start = Date.parse('2026-01-01T00:00:00Z');
const origin = { address: '192.0.2.1', confidential: true };
const issuer = 'https://login.example.org';
const anna: Identity = { user: { ...userOf('anna', 1), role: 'viewer' }, issuer };
const token: Credential = { kind: 'token', text: 'a.b.c' };
const failed = (refusal: 'unauthenticated' | 'sign-in-unavailable') => ({ refusal, reason: 'because' });

/** An authenticator with a clock that a test moves, and for which every token is what the test says. */
function create({ known = [], outcome }: { readonly known?: readonly User[]; readonly outcome?: TokenOutcome } = {}) {
  const clock = { time: start };
  const issuers = new Set([issuer]);
  const now = () => clock.time;
  const authenticator = new Authenticator({
    comparePassword: async () => false,
    failedLogins: createFailedLogins(undefined, now),
    now,
    ...(outcome && { verifyToken: async () => outcome, isIssuerKnown: (name: string) => issuers.has(name) }),
  });
  authenticator.setUsers(known);
  const signIn = async (credential: Credential) => {
    const signedIn = await authenticator.signIn(credential, origin);
    return 'identity' in signedIn ? `${signedIn.identity.user.name} by ${signedIn.identity.issuer}` : signedIn.refusal;
  };
  return { authenticator, clock, issuers, signIn };
}

describe('a token', () => {
  it('is no credential where nothing checks tokens, and counts', async () => {
    const { signIn } = create();
    const outcomes = new Set<string>();
    for (let i = 0; i < 20; i++) outcomes.add(await signIn(token));
    assert.deepEqual([...outcomes], ['unauthenticated', 'too-many-failures']);
  });

  it('lets in whom it is of, with what it says and nothing of a user of that name', async () => {
    const namesake = { ...userOf('Anna', 2), role: 'admin' };
    const { authenticator } = create({ outcome: { identity: anna }, known: [namesake] });
    assert.deepEqual(await authenticator.signIn(token, origin), { identity: anna });
  });

  it('is barred by disabling a user of its name, in any case', async () => {
    for (const change of [{ disabled: true }, { expiresAt: new Date(start).toISOString() }] as const) {
      const { authenticator, signIn } = create({ outcome: { identity: anna } });
      assert.equal(await signIn(token), `anna by ${issuer}`);
      assert.equal(authenticator.isCurrent(anna), true);
      authenticator.setUsers([{ ...userOf('ANNA', 2), ...change }]);
      assert.equal(await signIn(token), 'unauthenticated');
      assert.equal(authenticator.isCurrent(anna), false);
    }
  });

  it('has ended when what it says has run out, or its issuer is taken away', async () => {
    const { authenticator, clock, issuers } = create({ outcome: { identity: anna } });
    const ending = { ...anna, user: { ...anna.user, expiresAt: new Date(start + 1_000).toISOString() } };
    assert.equal(authenticator.isCurrent(ending), true);
    clock.time += 1_000;
    assert.equal(authenticator.isCurrent(ending), false);
    issuers.clear();
    assert.equal(authenticator.isCurrent(anna), false);
    assert.equal(create().authenticator.isCurrent(anna), false);
  });

  it('counts when it is refused, and not when it cannot be checked', async () => {
    const outcomes = async (outcome: TokenOutcome) => {
      const { signIn } = create({ outcome });
      const seen = new Set<string>();
      for (let i = 0; i < 20; i++) seen.add(await signIn(token));
      return [...seen];
    };
    assert.deepEqual(await outcomes(failed('unauthenticated')), ['unauthenticated', 'too-many-failures']);
    assert.deepEqual(await outcomes(failed('sign-in-unavailable')), ['sign-in-unavailable']);
  });

  it('SEC-55: passes during a lock-out of its address', async () => {
    const { signIn } = create({ outcome: { identity: anna } });
    for (let i = 0; i < 20; i++) await signIn({ kind: 'invalid' });
    assert.equal(await signIn({ kind: 'invalid' }), 'too-many-failures');
    assert.equal(await signIn(token), `anna by ${issuer}`);
  });

  it('waits with 63 others at most while the keys of its issuer are fetched', async () => {
    const keys = Promise.withResolvers<TokenOutcome>();
    let checks = 0;
    const authenticator = new Authenticator({
      comparePassword: async () => false,
      failedLogins: createFailedLogins(),
      verifyToken: () => {
        checks += 1;
        return keys.promise;
      },
    });
    const signIn = async () => authenticator.signIn(token, origin);
    const waiting = Array.from({ length: 64 }, signIn);
    const one = await signIn();
    assert.ok('refusal' in one);
    assert.deepEqual([one.refusal, checks], ['too-busy', 64]);
    keys.resolve({ identity: anna });
    for (const outcome of await Promise.all(waiting)) assert.deepEqual(outcome, { identity: anna });
    assert.deepEqual(await signIn(), { identity: anna });
  });

  it('leaves its place when the check fails in an unforeseen way, and lets nobody in', async () => {
    let dead = true;
    const authenticator = new Authenticator({
      comparePassword: async () => false,
      failedLogins: createFailedLogins(),
      verifyToken: async () => {
        if (dead) throw new Error('nobody foresaw this');
        return { identity: anna };
      },
    });
    const signIn = async () => authenticator.signIn(token, origin);
    for (let i = 0; i < 65; i++) await assert.rejects(signIn, /nobody foresaw/);
    dead = false;
    assert.deepEqual(await signIn(), { identity: anna });
  });
});
