/** Tokens of a real OpenID provider, over real sockets, with a clock that the test moves. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { TokenVerifier } from '../../src/guard/identity/tokenVerifier.ts';
import type { TokenIssuer } from '../../src/guard/policy/policyDocument.ts';
import { startOidcProvider } from '../support/oidcProvider.ts';
import { assemble, signingKey } from '../support/tokens.ts';

const minute = 60_000;
const day = 24 * 60 * minute;

async function start(t: TestContext, changes: Partial<TokenIssuer> = {}) {
  const provider = await startOidcProvider(t, 3 * 24 * 3_600);
  const clock = { ahead: 0 };
  const verifier = new TokenVerifier([{ ...provider.config, ...changes }], { now: () => Date.now() + clock.ahead });
  t.after(() => verifier.close());
  const outcome = async (token: string | Promise<string>) => {
    const result = await verifier.verify(await token);
    if ('refusal' in result) return `${result.refusal}: ${result.reason}`;
    const { user, issuer } = result.identity;
    assert.equal(issuer, provider.issuer);
    return `${user.name} ${user.role}`;
  };
  return { provider, clock, outcome };
}

for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
  test(`a program's token, by client credentials, signed by ${alg}`, async (t) => {
    const { provider, outcome } = await start(t);
    await provider.useKeys(await signingKey('own', alg));
    const token = await provider.programToken();
    assert.deepEqual(decodeProtectedHeader(token), { alg, typ: 'at+jwt', kid: 'own' });
    assert.equal(await outcome(token), 'ci-runner member');
  });
}

test("a person's token, by authorization code with PKCE", async (t) => {
  const { provider, outcome } = await start(t);
  provider.groups = ['staff', 'admins'];
  const { accessToken, idToken } = await provider.signIn('anna@example.org');
  assert.equal(await outcome(accessToken), 'anna@example.org admin');
  // It is for the application that the person signed in to, and not for the guard.
  assert.equal(decodeJwt(idToken).aud, 'editor');
  assert.equal(await outcome(idToken), 'unauthenticated: the claim aud is missing or wrong');
});

test('nobody without a role that is configured', async (t) => {
  const { provider, outcome } = await start(t);
  provider.groups = ['guests'];
  const told = await outcome(provider.programToken());
  assert.equal(told, 'unauthenticated: no role is configured for what the token holds');
});

test('keys are exchanged while tokens are checked', async (t) => {
  const { provider, clock, outcome } = await start(t);
  const [first, second] = await Promise.all([signingKey('a'), signingKey('b', 'RS256')]);
  await provider.useKeys(first);
  const before = await provider.programToken();
  assert.equal(await outcome(before), 'ci-runner member');
  await provider.useKeys(second, first);
  assert.equal(await outcome(provider.programToken()), 'ci-runner member');
  assert.equal(await outcome(before), 'ci-runner member');
  await provider.useKeys(second);
  clock.ahead += 10 * minute;
  assert.equal(await outcome(before), 'unauthenticated: the issuer has no such key');
  assert.equal(await outcome(provider.programToken()), 'ci-runner member');
});

test('while the provider is down its tokens are taken for a day, and then none', async (t) => {
  const { provider, clock, outcome } = await start(t);
  const token = await provider.programToken();
  assert.equal(await outcome(token), 'ci-runner member');
  await provider.stop();
  clock.ahead += day - minute;
  assert.equal(await outcome(token), 'ci-runner member');
  clock.ahead += minute;
  const told = 'sign-in-unavailable: the keys of the issuer cannot be had: ECONNREFUSED';
  assert.equal(await outcome(token), told);
  await provider.start();
  assert.equal(await outcome(token), told);
  clock.ahead += minute;
  assert.equal(await outcome(token), 'ci-runner member');
});

test('the provider is asked once for all that is taken in ten minutes', async (t) => {
  const { provider, outcome } = await start(t);
  const tokens = await Promise.all(Array.from({ length: 20 }, () => provider.programToken()));
  provider.asked.length = 0;
  for (const told of await Promise.all(tokens.map(outcome))) assert.equal(told, 'ci-runner member');
  assert.deepEqual(provider.asked, ['GET /.well-known/openid-configuration', 'GET /jwks']);
});

test('a provider that calls itself otherwise is not believed', async (t) => {
  const provider = await startOidcProvider(t);
  const alias = provider.issuer.replace('127.0.0.1', 'localhost');
  const verifier = new TokenVerifier([{ ...provider.config, issuer: alias }]);
  t.after(() => verifier.close());
  const token = assemble(decodeProtectedHeader(await provider.programToken()), { iss: alias });
  assert.deepEqual(await verifier.verify(token), {
    refusal: 'sign-in-unavailable',
    reason: 'the keys of the issuer cannot be had: the discovery document is of another issuer',
  });
});
