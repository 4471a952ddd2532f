import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { type CryptoKey, exportSPKI, importJWK } from 'jose';
import { TokenVerifier } from '../../../src/guard/identity/tokenVerifier.ts';
import { policyDocument, type TokenIssuer } from '../../../src/guard/policy/policyDocument.ts';
import { assemble, claimsAtNoon, createVerifier, issuer, noon, sign, signingKey } from '../../support/tokens.ts';

const key = await signingKey('k1');
const rsa = await signingKey('r1', 'RS256');

const refused = (reason: string) => `unauthenticated: ${reason}`;
const noToken = refused('this is no JSON Web Token');
const malformed = refused('the token is malformed');
const wrongClaim = (claim: string) => refused(`the claim ${claim} is missing or wrong`);
const wrongAlgorithm = refused('the algorithm is not one of the issuer');

test('a good token gives the identity that its claims describe', async () => {
  const { verifier } = createVerifier([key.jwk]);
  const outcome = await verifier.verify(await sign(key));
  assert.ok('identity' in outcome);
  const { user, ...rest } = outcome.identity;
  assert.deepEqual(rest, { issuer: issuer.issuer });
  assert.match(user.id, /^token:[\w-]{22}$/);
  assert.deepEqual(
    { ...user, id: '' },
    { id: '', name: 'anna', role: 'member', createdAt: '2026-06-01T12:00:00.000Z', keys: [] },
  );
});

for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
  test(`${alg} is taken unless the issuer says otherwise`, async () => {
    const own = await signingKey('own', alg);
    assert.equal(await createVerifier([own.jwk]).outcome(sign(own)), 'anna');
    const others: TokenIssuer = { ...issuer, algorithms: ['ES384', 'RS512'] };
    assert.equal(await createVerifier([own.jwk], [others]).outcome(sign(own)), wrongAlgorithm);
  });
}

test('an algorithm that the issuer does not have is refused, though it has the key', async () => {
  const other = await signingKey('k384', 'ES384');
  assert.equal(await createVerifier([other.jwk]).outcome(sign(other)), wrongAlgorithm);
  assert.equal(await createVerifier([other.jwk], [{ ...issuer, algorithms: ['ES384'] }]).outcome(sign(other)), 'anna');
});

/** What a token may be that lets nobody in, and why, by what the test is called after. */
const refusals: Readonly<Record<string, readonly [token: string | Promise<string>, outcome: string]>> = {
  nothing: ['', noToken],
  'not three parts': ['a.b', noToken],
  'an encrypted token': ['e30.e30.e30.e30.e30', noToken],
  'claims that are no object': [assemble({ alg: 'ES256', kid: 'k1' }, ['iss']), noToken],
  'a header that is no JSON': [`e30x.${assemble({}, claimsAtNoon()).split('.')[1]}.`, noToken],
  'longer than headers may be': [`${'a'.repeat(16 * 1024)}.e30.`, refused('the token is too long')],
  'no issuer': [sign(key, claimsAtNoon({ iss: undefined })), refused('the issuer is not configured')],
  'an issuer that is no text': [
    sign(key, claimsAtNoon({ iss: [issuer.issuer] })),
    refused('the issuer is not configured'),
  ],
  'an issuer that differs by a slash': [
    sign(key, claimsAtNoon({ iss: `${issuer.issuer}/` })),
    refused('the issuer is not configured'),
  ],
  'the name of a property of objects as issuer': [
    sign(key, claimsAtNoon({ iss: '__proto__' })),
    refused('the issuer is not configured'),
  ],
  'alg none': [assemble({ alg: 'none', kid: 'k1' }, claimsAtNoon()), wrongAlgorithm],
  'alg None': [assemble({ alg: 'None', kid: 'k1' }, claimsAtNoon()), wrongAlgorithm],
  'no alg': [assemble({ kid: 'k1' }, claimsAtNoon()), wrongAlgorithm],
  'a list as alg': [assemble({ alg: ['ES256'], kid: 'k1' }, claimsAtNoon()), wrongAlgorithm],
  'no signature': [assemble({ alg: 'ES256', kid: 'k1' }, claimsAtNoon()), refused('the signature is wrong')],
  'the signature of zeros that Java took (CVE-2022-21449)': [
    assemble({ alg: 'ES256', kid: 'k1' }, claimsAtNoon(), Buffer.alloc(64).toString('base64url')),
    refused('the signature is wrong'),
  ],
  'the signature of another key of this name': [
    signingKey('k1').then((other) => sign(other)),
    refused('the signature is wrong'),
  ],
  'a key that the issuer does not have': [
    signingKey('k9').then((other) => sign(other)),
    refused('the issuer has no such key'),
  ],
  'a key of the issuer for another algorithm': [
    assemble({ alg: 'RS256', kid: 'k1' }, claimsAtNoon()),
    refused('the issuer has no such key'),
  ],
  'an extension that must be understood': [
    assemble({ alg: 'ES256', kid: 'k1', crit: ['exp'], exp: noon }, claimsAtNoon()),
    malformed,
  ],
  'a payload that is not encoded (RFC 7797)': [
    assemble({ alg: 'ES256', kid: 'k1', crit: ['b64'], b64: false }, claimsAtNoon()),
    refused('the signature is wrong'),
  ],
  'the type of a logout token': [
    sign(key, claimsAtNoon(), { typ: 'logout+jwt' }),
    refused('the token is of another type'),
  ],
  'a list as type': [
    assemble({ alg: 'ES256', kid: 'k1', typ: ['JWT'] }, claimsAtNoon()),
    refused('the token is of another type'),
  ],
  'another audience': [sign(key, claimsAtNoon({ aud: 'grafana' })), wrongClaim('aud')],
  'other audiences': [sign(key, claimsAtNoon({ aud: ['grafana', 'ollama2'] })), wrongClaim('aud')],
  'no audience': [sign(key, claimsAtNoon({ aud: undefined })), wrongClaim('aud')],
  'no end': [sign(key, claimsAtNoon({ exp: undefined })), wrongClaim('exp')],
  'an end that is no number': [sign(key, claimsAtNoon({ exp: String(noon + 600) })), wrongClaim('exp')],
  'an end that is past': [sign(key, claimsAtNoon({ exp: noon - 3_600 })), refused('the token has run out')],
  'a start to come': [sign(key, claimsAtNoon({ nbf: noon + 3_600 })), wrongClaim('nbf')],
  'issued in the future': [
    sign(key, claimsAtNoon({ iat: noon + 3_600 })),
    refused('the token was issued in the future'),
  ],
  'bound to a key of its holder (RFC 9449)': [
    sign(key, claimsAtNoon({ cnf: { jkt: 'x' } })),
    refused('the token is bound to a key'),
  ],
  'no user': [sign(key, claimsAtNoon({ sub: undefined })), refused('the claim sub is no user name')],
  'a name that no user may have': [sign(key, claimsAtNoon({ sub: 'a|b' })), refused('the claim sub is no user name')],
};

for (const [what, [token, expected]] of Object.entries(refusals)) {
  test(`refused: ${what}`, async () => {
    assert.equal(await createVerifier([key.jwk]).outcome(token), expected);
  });
}

test('a token signed by HMAC with the public key as the secret is refused (CVE-2015-9235)', async () => {
  const pem = await exportSPKI((await importJWK(rsa.jwk)) as CryptoKey);
  for (const secret of [pem, pem.trim(), JSON.stringify(rsa.jwk)]) {
    const unsigned = assemble({ alg: 'HS256', kid: 'r1' }, claimsAtNoon()).slice(0, -1);
    const token = `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`;
    assert.equal(await createVerifier([rsa.jwk]).outcome(token), wrongAlgorithm);
  }
});

test('no configuration names an algorithm with a shared secret, or none', () => {
  for (const algorithm of ['HS256', 'HS384', 'HS512', 'none']) {
    assert.ok(!policyDocument.safeParse({ issuers: [{ ...issuer, algorithms: [algorithm] }] }).success);
  }
});

test('an issuer is configured once', () => {
  assert.ok(policyDocument.safeParse({ issuers: [issuer] }).success);
  assert.ok(!policyDocument.safeParse({ issuers: [issuer, { ...issuer, audience: ['other'] }] }).success);
});

test('keys that a token brings along are not looked at (CVE-2018-0114)', async () => {
  const own = await signingKey('own');
  for (const header of [
    { jwk: own.jwk },
    { jku: 'https://attacker.example/keys', x5u: 'https://attacker.example/chain' },
    { jwk: own.jwk, kid: 'k1' },
  ]) {
    assert.match(
      await createVerifier([key.jwk]).outcome(sign(own, claimsAtNoon(), header as object)),
      /^unauthenticated/,
    );
  }
});

test('a token of a stranger costs no question', async () => {
  const { world, outcome, verifier } = createVerifier([key.jwk]);
  await outcome(sign(key, claimsAtNoon({ iss: 'https://attacker.example' })));
  await outcome(assemble({ alg: 'none' }, claimsAtNoon()));
  await outcome(sign(key, claimsAtNoon(), { typ: 'dpop+jwt' }));
  assert.equal(world.asked, 0);
  assert.equal(verifier.knows('https://attacker.example'), false);
  assert.equal(verifier.knows(issuer.issuer), true);
});

for (const typ of ['JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt', 'application/jwt']) {
  test(`the type ${typ} is taken`, async () => {
    assert.equal(await createVerifier([key.jwk]).outcome(sign(key, claimsAtNoon(), { typ })), 'anna');
  });
}

test('one of the audiences is enough', async () => {
  const { outcome } = createVerifier([key.jwk]);
  assert.equal(await outcome(sign(key, claimsAtNoon({ aud: ['grafana', 'ollama-staging'] }))), 'anna');
});

/** In seconds before or after noon, with the tolerance, and whether the token is taken. */
const edges: readonly (readonly [claim: string, offset: number, tolerance: number | undefined, taken: boolean])[] = [
  ['exp', -29, undefined, true],
  ['exp', -30, undefined, false],
  ['exp', 1, 0, true],
  ['exp', 0, 0, false],
  ['exp', -299, 300, true],
  ['nbf', 30, undefined, true],
  ['nbf', 31, undefined, false],
  ['nbf', 0, 0, true],
  ['nbf', 1, 0, false],
  ['iat', 30, undefined, true],
  ['iat', 31, undefined, false],
  ['iat', 1, 0, false],
];

for (const [claim, offset, clockToleranceSeconds, taken] of edges) {
  test(`${claim} ${offset} s from now, with ${clockToleranceSeconds ?? 'the usual'} tolerance: ${taken}`, async () => {
    const config = { ...issuer, ...(clockToleranceSeconds !== undefined && { clockToleranceSeconds }) };
    const outcome = await createVerifier([key.jwk], [config]).outcome(
      sign(key, claimsAtNoon({ [claim]: noon + offset })),
    );
    assert.equal(outcome === 'anna', taken, outcome);
  });
}

test('a token of one issuer is not taken as one of another', async () => {
  const other = { ...issuer, issuer: 'https://other.example.org' };
  const otherKey = await signingKey('k1');
  const { world, outcome } = createVerifier([], [issuer, other]);
  world.answer = async () => ({ keys: [world.asked === 1 ? key.jwk : otherKey.jwk] });
  assert.equal(await outcome(sign(key)), 'anna');
  assert.equal(await outcome(sign(key, claimsAtNoon({ iss: other.issuer }))), refused('the signature is wrong'));
  assert.equal(await outcome(sign(otherKey, claimsAtNoon({ iss: other.issuer }))), 'anna');
});

test('nothing that is told of a wrong token holds the token or what it claims', async () => {
  const { outcome } = createVerifier([key.jwk], [{ ...issuer, claims: { role: 'groups', models: 'models' } }]);
  const secret = 'S3cret|value';
  for (const claims of [
    { iss: secret },
    { aud: secret },
    { sub: secret },
    { groups: { secret } },
    { models: secret },
  ]) {
    const token = await sign(key, claimsAtNoon(claims));
    const told = await outcome(token);
    assert.match(told, /^unauthenticated: /);
    assert.ok(!told.includes('S3cret') && !told.includes(token.slice(-20)), told);
  }
});

test('a remembered token ends when it runs out', async () => {
  const { world, outcome } = createVerifier([key.jwk], [{ ...issuer, clockToleranceSeconds: 0 }]);
  const token = await sign(key, claimsAtNoon({ exp: noon + 20 }));
  assert.equal(await outcome(token), 'anna');
  world.time += 19_000;
  assert.equal(await outcome(token), 'anna');
  world.time += 1_000;
  assert.equal(await outcome(token), refused('the token has run out'));
});

test('a token is remembered as itself alone', async () => {
  const { outcome } = createVerifier([key.jwk]);
  const token = await sign(key);
  assert.equal(await outcome(token), 'anna');
  const [header, , signature] = token.split('.');
  const [, forged] = assemble({}, claimsAtNoon({ sub: 'adam' })).split('.');
  assert.equal(await outcome(`${header}.${forged}.${signature}`), refused('the signature is wrong'));
});

test('a signature is checked once a minute, and a wrong one every time', async (t) => {
  const { world, outcome } = createVerifier([key.jwk]);
  const checks = t.mock.method(crypto.subtle, 'verify');
  const token = await sign(key);
  for (let i = 0; i < 5; i += 1) assert.equal(await outcome(token), 'anna');
  assert.equal(checks.mock.callCount(), 1);
  world.time += 60_000;
  assert.equal(await outcome(token), 'anna');
  assert.equal(checks.mock.callCount(), 2);
  const wrong = `${token.slice(0, -10)}AAAAAAAAAA`;
  for (let i = 0; i < 3; i += 1) assert.equal(await outcome(wrong), refused('the signature is wrong'));
  assert.equal(checks.mock.callCount(), 5);
});

test('issuers that stay as they are keep their keys and what was verified', async (t) => {
  const { verifier, world, outcome } = createVerifier([key.jwk]);
  const checks = t.mock.method(crypto.subtle, 'verify');
  const token = await sign(key);
  assert.equal(await outcome(token), 'anna');
  verifier.setIssuers([{ ...issuer, issuer: 'https://other.example.org' }, structuredClone(issuer)]);
  assert.equal(await outcome(token), 'anna');
  assert.deepEqual([world.asked, checks.mock.callCount()], [1, 1]);
  verifier.setIssuers([{ ...issuer, jwksUri: 'https://login.example.org/keys' }]);
  assert.equal(await outcome(token), 'anna');
  assert.deepEqual([world.asked, checks.mock.callCount()], [2, 2], 'keys from another place are other keys');
});

test('the order of roles counts', async () => {
  const { verifier } = createVerifier([key.jwk], [{ ...issuer, claims: { role: 'groups' } }]);
  const token = await sign(key, claimsAtNoon({ groups: ['staff', 'admins'] }));
  const roleBy = async (roles: Record<string, string>) => {
    verifier.setIssuers([{ ...issuer, claims: { role: 'groups' }, roles }]);
    const outcome = await verifier.verify(token);
    return 'identity' in outcome && outcome.identity.user.role;
  };
  assert.equal(await roleBy({ admins: 'admin', staff: 'member' }), 'admin');
  assert.equal(await roleBy({ staff: 'member', admins: 'admin' }), 'member');
});

test('a token that is being checked goes by the issuers there are at the end', async () => {
  for (const [issuers, expected] of [
    [[], refused('the issuer is not configured')],
    [[{ ...issuer, audience: ['others'] }], wrongClaim('aud')],
    [[{ ...issuer, claims: { user: 'email' } }], 'anna@example.org'],
  ] satisfies [TokenIssuer[], string][]) {
    const { verifier, world, outcome } = createVerifier([key.jwk]);
    world.answer = async () => {
      verifier.setIssuers(issuers);
      return { keys: [key.jwk] };
    };
    assert.equal(await outcome(sign(key, claimsAtNoon({ email: 'anna@example.org' }))), expected);
  }
});

test('an issuer that is gone is asked no further, one that stays is', async () => {
  const asked = new Map<string, AbortSignal>();
  const other = { ...issuer, issuer: 'https://other.example.org' };
  const { promise: bothAsked, resolve } = Promise.withResolvers<void>();
  const verifier = new TokenVerifier([issuer, other], {
    now: () => noon * 1_000,
    loadKeys: ({ issuer: name }, closed) => {
      asked.set(name, closed);
      if (asked.size === 2) resolve();
      return new Promise((_, reject) => closed.addEventListener('abort', () => reject(new Error('closed'))));
    },
  });
  const outcomes = [
    verifier.verify(await sign(key)),
    verifier.verify(await sign(key, claimsAtNoon({ iss: other.issuer }))),
  ];
  await bothAsked;
  verifier.setIssuers([{ ...other, audience: ['others'] }]);
  assert.equal(asked.get(issuer.issuer)?.aborted, true);
  assert.equal(asked.get(other.issuer)?.aborted, false);
  verifier.close();
  assert.equal(asked.get(other.issuer)?.aborted, true);
  for (const outcome of await Promise.all(outcomes)) assert.ok('refusal' in outcome);
});
