/** People and programs who come to a guard with tokens of a real OpenID provider. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { PolicyDocument, TokenIssuer } from '../../src/guard/policy/policyDocument.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { startOidcProvider } from '../support/oidcProvider.ts';
import { team, withPerson } from '../support/people.ts';
import { signingKey } from '../support/tokens.ts';

async function start(t: TestContext, policy: PolicyDocument = {}, users = team.users) {
  const provider = await startOidcProvider(t);
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, {
    users,
    config: { policy: { ...policy, issuers: [provider.config] } },
  });
  const call = async (token: string, method = 'GET', path = '/api/version') => {
    const { status } = await guard.call({ method, path, headers: { authorization: `Bearer ${token}` } });
    return status;
  };
  return { provider, upstream, guard, call };
}

test('a program and a person are let in by their tokens, which go no further', async (t) => {
  const { provider, upstream, call } = await start(t);
  assert.equal(await call(await provider.programToken()), 200);
  const { accessToken, idToken } = await provider.signIn('anna@example.org');
  assert.equal(await call(accessToken), 200);
  assert.equal(await call(idToken), 401);
  assert.equal(upstream.requests.length, 2);
  assert.ok(upstream.requests.every(({ headers }) => headers.authorization === undefined));
});

test('a token gives the role of its groups', async (t) => {
  const { provider, call } = await start(t);
  provider.groups = ['guests'];
  assert.equal(await call(await provider.programToken()), 401);
  provider.groups = ['staff'];
  assert.equal(await call(await provider.programToken(), 'DELETE', '/api/delete'), 403);
  provider.groups = ['admins'];
  assert.notEqual(await call(await provider.programToken(), 'DELETE', '/api/delete'), 403);
});

test('keys are exchanged while the guard serves', async (t) => {
  const { provider, call } = await start(t);
  assert.equal(await call(await provider.programToken()), 200);
  await provider.useKeys(await signingKey('next', 'EdDSA'));
  assert.equal(await call(await provider.programToken()), 200);
});

test('while the provider is down, those it let in before come in, and new guards let nobody in', async (t) => {
  const { provider, upstream, call } = await start(t);
  const token = await provider.programToken();
  assert.equal(await call(token), 200);
  const { accessToken } = await provider.signIn('anna');
  await provider.stop();
  assert.equal(await call(accessToken), 200);

  const later = await startGuard(t, upstream, { config: { policy: { issuers: [provider.config] } } });
  const answer = await later.call({ path: '/api/version', headers: { authorization: `Bearer ${token}` } });
  assert.equal(answer.status, 503);
  assert.match(answer.text, /Tokens cannot be checked right now/);
});

test('a provider that is down keeps its people while another comes and goes, and while its own roles change', async (t) => {
  const { provider, guard, call } = await start(t);
  const other = await startOidcProvider(t);
  const setIssuers = (...issuers: TokenIssuer[]) => guard.guard.setPolicy({ issuers });
  assert.equal(await call(await provider.programToken()), 200);
  const { accessToken } = await provider.signIn('anna');
  await provider.stop();

  setIssuers(provider.config, other.config);
  assert.equal(await call(accessToken), 200);
  assert.equal(await call(await other.programToken()), 200);
  setIssuers({ ...provider.config, roles: { staff: 'admin' } });
  assert.notEqual(await call(accessToken, 'DELETE', '/api/delete'), 403);
  setIssuers({ ...provider.config, audience: ['others'] });
  assert.equal(await call(accessToken), 401);
  assert.equal(await call(await other.programToken()), 401);

  setIssuers(provider.config);
  assert.equal(await call(accessToken), 200);
  setIssuers(other.config);
  assert.equal(await call(accessToken), 401);
  setIssuers(provider.config);
  assert.equal(await call(accessToken), 503, 'it was gone, and its keys with it');
});

test('a user who is disabled shuts out tokens of that name', async (t) => {
  const { users } = withPerson(team.users, 'anna', 'member');
  const { provider, guard, call } = await start(t, {}, users);
  const { accessToken } = await provider.signIn('Anna');
  assert.equal(await call(accessToken), 200);
  guard.guard.setUsers(users.map((user) => (user.name === 'anna' ? { ...user, disabled: true as const } : user)));
  assert.equal(await call(accessToken), 401);
});

test('a token of an issuer that is not configured is refused like any other, and nobody is asked', async (t) => {
  const { call } = await start(t);
  const other = await startOidcProvider(t);
  const token = await other.programToken();
  other.asked.length = 0;
  assert.equal(await call(token), 401);
  assert.deepEqual(other.asked, []);
});

test('a token with one byte changed is refused', async (t) => {
  const { provider, call } = await start(t);
  const token = await provider.programToken();
  assert.equal(await call(token), 200);
  const at = token.length - 20;
  assert.equal(await call(`${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`), 401);
});
