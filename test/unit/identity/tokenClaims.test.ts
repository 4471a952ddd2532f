/** What claims say of a user: the name, the role and the models. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClaimError, type Claims, claimOf, identityOf, tokenUserId } from '../../../src/guard/identity/tokenClaims.ts';
import { parseUsers } from '../../../src/guard/identity/users.ts';
import type { TokenIssuer } from '../../../src/guard/policy/policyDocument.ts';
import { issuer } from '../../support/tokens.ts';

const roles = { 'ollama-admins': 'admin', 'Domain Users': 'member', staff: 'viewer' };
const byRole: TokenIssuer = { issuer: issuer.issuer, audience: ['ollama'], claims: { role: 'groups' }, roles };

const { user: anna } = identityOf(issuer, { sub: 'anna' }, 0);

function userOf(config: TokenIssuer, claims: Claims) {
  return identityOf(config, { sub: 'anna', ...claims }, 0).user;
}

function refuses(config: TokenIssuer, claims: Claims, problem: string) {
  assert.throws(
    () => userOf(config, claims),
    (error) => error instanceof ClaimError && error.message === problem,
  );
}

for (const name of ['anna', 'Anna.B', '7f3c2a10-9d5e-4c1b-8a77-0123456789ab', 'anna@example.org', 'a'.repeat(64)]) {
  test(`${name} is a name`, () => assert.equal(userOf(issuer, { sub: name }).name, name));
}

for (const name of ['', ' anna', 'anna\n', 'auth0|1', '-a', 'a'.repeat(65), 'änna', 7, null, ['anna'], { a: 1 }]) {
  test(`${JSON.stringify(name)} is no name`, () => refuses(issuer, { sub: name }, 'the claim sub is no user name'));
}

test('the user is named by the claim that is configured', () => {
  const config: TokenIssuer = { ...issuer, claims: { user: 'preferred_username' } };
  assert.equal(userOf(config, { preferred_username: 'anna.b' }).name, 'anna.b');
  refuses(config, {}, 'the claim preferred_username is no user name');
});

test('an address that was not verified names nobody', () => {
  const config: TokenIssuer = { ...issuer, claims: { user: 'email' } };
  const email = 'anna@example.org';
  assert.equal(userOf(config, { email }).name, email);
  assert.equal(userOf(config, { email, email_verified: true }).name, email);
  assert.equal(userOf(config, { email, email_verified: 'True' }).name, email);
  for (const email_verified of [false, 'false', 'False', 0, 1, 'no', '', null, {}]) {
    refuses(config, { email, email_verified }, 'the claim email is of an address that was not verified');
  }
});

/** What the role claim holds, and the role that it gives. */
const held: readonly (readonly [claim: unknown, role: string | undefined])[] = [
  ['staff', 'viewer'],
  [['staff'], 'viewer'],
  [['staff', 'ollama-admins'], 'admin'],
  ['staff ollama-admins', undefined],
  ['guests of staff', undefined],
  [' staff', undefined],
  ['Domain Users', 'member'],
  [['Domain Users', 'staff'], 'member'],
  [['openid staff'], undefined],
  ['Staff', undefined],
  ['', undefined],
  [[], undefined],
  [['__proto__', 'constructor', 'toString'], undefined],
  [undefined, undefined],
];

for (const [groups, role] of held) {
  test(`${JSON.stringify(groups)} gives the role ${role ?? 'of those without one'}`, () => {
    assert.equal(userOf({ ...byRole, defaultRole: 'guest' }, { groups }).role, role ?? 'guest');
    if (role === undefined) refuses(byRole, { groups }, 'no role is configured for what the token holds');
    else assert.equal(userOf(byRole, { groups }).role, role);
  });
}

test('a scope lists words, wherever it is, and no other text does', () => {
  for (const role of ['scope', 'scp', 'authorization.scope']) {
    const config: TokenIssuer = { ...byRole, claims: { role } };
    const claims = (text: string) => ({ [role]: text });
    assert.equal(userOf(config, claims('openid staff profile')).role, 'viewer', role);
    assert.equal(userOf(config, claims('staff  ollama-admins')).role, 'admin', role);
    refuses(config, claims('Domain Users'), 'no role is configured for what the token holds');
  }
});

test('a token that tells of an event lets nobody in', () => {
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  refuses(issuer, { events }, 'the token tells of an event');
});

for (const groups of [7, true, null, { staff: true }, ['staff', 7]]) {
  test(`${JSON.stringify(groups)} is no role claim, whatever the default`, () => {
    const problem = 'the claim groups is neither a text nor a list of texts';
    refuses({ ...byRole, defaultRole: 'guest' }, { groups }, problem);
  });
}

const byModels: TokenIssuer = { ...issuer, claims: { models: 'models' } };

test('models of the token take the place of those of the role', () => {
  assert.deepEqual(userOf(byModels, { models: ['llama3*', 'qwen3:8b'] }).models, { allow: ['llama3*', 'qwen3:8b'] });
  assert.deepEqual(userOf(byModels, { models: 'llama3* qwen3:8b' }).models, { allow: ['llama3*', 'qwen3:8b'] });
  assert.deepEqual(userOf(byModels, { models: [] }).models, { allow: [] });
  assert.deepEqual(userOf(byModels, { models: '' }).models, { allow: [] });
  assert.equal(userOf(byModels, {}).models, undefined);
  assert.equal(userOf(issuer, { models: ['llama3*'] }).models, undefined);
});

const manyModels = Array.from({ length: 101 }, (_, i) => `model${i}`);

for (const models of [['llama3*', 'a b'], ['[a-z]'], [''], manyModels, manyModels.join(' ')]) {
  test(`models that are no models are refused: ${JSON.stringify(models).slice(0, 30)}`, () => {
    refuses(byModels, { models }, 'the claim models does not list at most 100 models');
  });
}

test('models that are no texts are refused', () => {
  for (const models of [7, null, { allow: ['*'] }, [['*']]]) {
    refuses(byModels, { models }, 'the claim models is neither a text nor a list of texts');
  }
});

test('a claim is found by its name, then by the path that the name is', () => {
  const claims = { 'https://example.org/roles': ['a'], realm_access: { roles: ['b'] }, 'a.b': 1, a: { b: 2 } };
  assert.deepEqual(claimOf(claims, 'https://example.org/roles'), ['a']);
  assert.deepEqual(claimOf(claims, 'realm_access.roles'), ['b']);
  assert.equal(claimOf(claims, 'a.b'), 1);
  assert.equal(claimOf(claims, 'realm_access.missing.deeper'), undefined);
});

test('nothing that a claim inherits is found', () => {
  for (const name of ['constructor', '__proto__', 'toString', 'a.constructor.name', 'a.__proto__']) {
    assert.equal(claimOf({ a: {} }, name), undefined);
  }
});

test('an id is the same for the same user of an issuer, and for nobody else', () => {
  const id = tokenUserId('https://a.example', 'anna');
  assert.equal(tokenUserId('https://a.example', 'Anna'), id);
  const others = [
    tokenUserId('https://a.example', 'ben'),
    tokenUserId('https://b.example', 'anna'),
    tokenUserId('https://a.exampl', 'eanna'),
  ];
  assert.equal(new Set([id, ...others]).size, 4);
});

test('no stored user can have the id of somebody who came by a token', () => {
  assert.throws(() => parseUsers([anna]));
});
