/** How the keys of an issuer are got, kept, replaced and given up. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign as signBytes } from 'node:crypto';
import { test } from 'node:test';
import { type JWK, SignJWT } from 'jose';
import { TokenVerifier } from '../../../src/guard/identity/tokenVerifier.ts';
import { claimsAtNoon, createVerifier, issuer, noon, sign, signingKey } from '../../support/tokens.ts';

const first = await signingKey('first');
const second = await signingKey('second');
const third = await signingKey('third');

const minute = 60_000;
const hour = 60 * minute;
const noSuchKey = 'unauthenticated: the issuer has no such key';
const unavailable = 'sign-in-unavailable: the keys of the issuer cannot be had: ECONNREFUSED';

const down = async () => {
  throw Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
};

/** A token that outlives the test. */
const lasting = (key: typeof first, sub = 'anna') => sign(key, claimsAtNoon({ sub, exp: noon + 1_000_000 }));

test('keys are asked for once, by however many tokens at once', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  const names = await Promise.all(['anna', 'ben', 'cleo'].map((sub) => outcome(lasting(first, sub))));
  assert.deepEqual(names, ['anna', 'ben', 'cleo']);
  world.time += 9 * minute;
  assert.equal(await outcome(lasting(first, 'dan')), 'dan');
  assert.equal(world.asked, 1);
  world.time += minute;
  assert.equal(await outcome(lasting(first, 'eve')), 'eve');
  assert.equal(world.asked, 2);
});

test('a new key works at once, also for those who come while it is asked for', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  assert.equal(await outcome(lasting(first)), 'anna');
  const { promise, resolve } = Promise.withResolvers<{ keys: JWK[] }>();
  world.answer = () => promise;
  const outcomes = Promise.all(['ben', 'cleo', 'dan'].map((sub) => outcome(lasting(second, sub))));
  resolve({ keys: [first.jwk, second.jwk] });
  assert.deepEqual(await outcomes, ['ben', 'cleo', 'dan']);
  assert.equal(world.asked, 2);
});

test('a key that was taken back works for ten minutes at most, also for a remembered token', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  world.time -= 5_000;
  assert.equal(await outcome(lasting(first)), 'anna');
  world.answer = async () => ({ keys: [second.jwk] });
  world.time += 10 * minute - 1;
  assert.equal(await outcome(lasting(first)), 'anna');
  world.time += 1;
  assert.equal(await outcome(lasting(first)), noSuchKey);
});

test('a remembered token ends with its key when the keys are replaced earlier', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  const token = await lasting(first);
  assert.equal(await outcome(token), 'anna');
  world.answer = async () => ({ keys: [second.jwk] });
  assert.equal(await outcome(token), 'anna');
  assert.equal(await outcome(lasting(second)), 'anna');
  assert.equal(await outcome(token), noSuchKey);
});

test('a flood of tokens with keys that do not exist asks once in thirty seconds', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  const flood = async () => {
    const tokens = Array.from({ length: 50 }, (_, i) =>
      new SignJWT(claimsAtNoon()).setProtectedHeader({ alg: 'ES256', kid: `no-${i}` }).sign(second.privateKey),
    );
    for (const told of await Promise.all(tokens.map(outcome))) assert.equal(told, noSuchKey);
  };
  await flood();
  // For the keys themselves, and for the first that was missing.
  assert.equal(world.asked, 2);
  for (let second = 0; second < 29; second += 1) {
    world.time += 1_000;
    await flood();
  }
  assert.equal(world.asked, 2);
  world.answer = async () => ({ keys: [first.jwk, third.jwk] });
  assert.equal(await outcome(lasting(third)), noSuchKey);
  world.time += 1_000;
  assert.equal(await outcome(lasting(third)), 'anna');
  assert.equal(world.asked, 3);
});

test('while the issuer is down its keys serve for a day, and then nobody is let in', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  assert.equal(await outcome(lasting(first)), 'anna');
  world.answer = down;
  for (let passed = 1; passed < 24; passed += 1) {
    world.time += hour;
    assert.equal(await outcome(lasting(first)), 'anna');
    assert.equal(await outcome(lasting(second)), noSuchKey);
  }
  world.time += hour - 1;
  assert.equal(await outcome(lasting(first)), 'anna');
  world.time += 1;
  assert.equal(await outcome(lasting(first)), unavailable);
  assert.equal(await outcome(lasting(second)), unavailable);
  world.time += minute;
  world.answer = async () => ({ keys: [first.jwk] });
  assert.equal(await outcome(lasting(first)), 'anna');
});

test('without keys from the start nobody is let in, and the issuer is asked once in thirty seconds', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  const { answer } = world;
  world.answer = down;
  assert.equal(await outcome(lasting(first)), unavailable);
  world.answer = answer;
  world.time += 30_000 - 1;
  assert.equal(await outcome(lasting(first)), unavailable);
  assert.equal(world.asked, 1);
  world.time += 1;
  assert.equal(await outcome(lasting(first)), 'anna');
  assert.equal(world.asked, 2);
});

test('while the issuer is down its old keys are served without waiting for it each time', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  assert.equal(await outcome(lasting(first)), 'anna');
  world.answer = down;
  world.time += hour;
  for (let i = 0; i < 20; i += 1) assert.equal(await outcome(lasting(first)), 'anna');
  assert.equal(world.asked, 2);
});

test('once the issuer has failed, nobody waits for it while its old keys are good, and they are replaced beside', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  assert.equal(await outcome(lasting(first)), 'anna');
  world.answer = down;
  world.time += 10 * minute;
  assert.equal(await outcome(lasting(first)), 'anna');
  const { promise, resolve } = Promise.withResolvers<{ keys: JWK[] }>();
  world.answer = () => promise;
  world.time += minute;
  const names = ['ben', 'cleo'].map((sub) => outcome(lasting(first, sub)));
  assert.deepEqual(await Promise.all(names), ['ben', 'cleo'], 'though it does not answer');
  assert.equal(world.asked, 3);
  resolve({ keys: [second.jwk] });
  await promise;
  assert.equal(await outcome(lasting(second, 'dan')), 'dan');
  assert.equal(await outcome(lasting(first, 'eve')), noSuchKey);
  // It answers again: the next time that the keys are old, they are waited for.
  world.answer = async () => ({ keys: [third.jwk] });
  world.time += 10 * minute;
  assert.equal(await outcome(lasting(second, 'fay')), noSuchKey);
});

test('an issuer that takes back all keys lets nobody in', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  assert.equal(await outcome(lasting(first)), 'anna');
  world.answer = async () => ({ keys: [] });
  world.time += 10 * minute;
  assert.equal(await outcome(lasting(first)), noSuchKey);
});

test('a clock that is set back makes no key last longer', async () => {
  const { world, outcome } = createVerifier([first.jwk]);
  assert.equal(await outcome(lasting(first)), 'anna');
  world.time -= 20_000;
  world.answer = async () => ({ keys: [second.jwk] });
  assert.equal(await outcome(lasting(first)), noSuchKey);
});

test('a token that names no key is checked with the only one there is, and with none of several', async () => {
  const token = sign(first, claimsAtNoon(), { kid: undefined } as object);
  assert.equal(await createVerifier([first.jwk]).outcome(token), 'anna');
  assert.equal(
    await createVerifier([first.jwk, second.jwk]).outcome(token),
    'unauthenticated: the token does not say which key of the issuer it was signed with',
  );
});

test('an RSA key that is too short is not used (RFC 8725 §3.2)', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const { outcome } = createVerifier([{ ...publicKey.export({ format: 'jwk' }), kid: 'short', alg: 'RS256' } as JWK]);
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'RS256', kid: 'short' })}.${part(claimsAtNoon())}`;
  const signature = signBytes('sha256', Buffer.from(signed), privateKey).toString('base64url');
  assert.equal(await outcome(`${signed}.${signature}`), 'unauthenticated: the key of the issuer cannot be used');
});

test('what is under way is given up when the verifier is closed', async () => {
  const asked = Promise.withResolvers<void>();
  const verifier = new TokenVerifier([issuer], {
    now: () => noon * 1_000,
    loadKeys: (_issuer, closed) => {
      asked.resolve();
      const { promise, reject } = Promise.withResolvers<never>();
      closed.addEventListener('abort', () => reject(closed.reason));
      return promise;
    },
  });
  const outcome = verifier.verify(await sign(first));
  await asked.promise;
  verifier.close();
  assert.deepEqual(await outcome, {
    refusal: 'sign-in-unavailable',
    reason: 'the keys of the issuer cannot be had: This operation was aborted',
  });
});
