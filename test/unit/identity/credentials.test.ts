import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createApiKey } from '../../../src/guard/identity/apiKey.ts';
import { readCredential } from '../../../src/guard/identity/credentials.ts';
import { createCliKey, signed } from '../../support/ollamaCli.ts';
import { basic } from '../../support/people.ts';

test('SEC-56: placeholders are no credential', () => {
  for (const token of ['', 'ollama', 'undefined', 'null', 'none', 'dummy', 'EMPTY', 'sk-dummy']) {
    assert.equal(readCredential({ authorization: `Bearer ${token}` }).kind, 'none', token);
    assert.equal(readCredential({ 'x-api-key': token }).kind, 'none', token);
  }
  assert.equal(readCredential({}).kind, 'none');
});

test('a placeholder in Authorization leaves the word to x-api-key; anything else does not', () => {
  const { id, text } = createApiKey();
  const key = { kind: 'key', id, text };
  assert.deepEqual(readCredential({ authorization: 'Bearer ollama', 'x-api-key': text }), key);
  assert.equal(readCredential({ authorization: 'Bearer other', 'x-api-key': text }).kind, 'invalid');
  assert.equal(readCredential({ authorization: basic('a', 'b'), 'x-api-key': text }).kind, 'password');
});

test('any user name without a colon, and any password, is read back from Basic', () => {
  const name = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes(':'));
  fc.assert(
    fc.property(name, fc.string({ unit: 'grapheme' }), (user, password) => {
      assert.deepEqual(readCredential({ authorization: basic(user, password) }), { kind: 'password', user, password });
    }),
  );
});

test('an API key is read back from Bearer, x-api-key and Basic', () => {
  fc.assert(
    fc.property(
      fc.string().filter((text) => !text.includes(':')),
      (user) => {
        const { id, text } = createApiKey();
        assert.deepEqual(readCredential({ authorization: `Bearer ${text}` }), { kind: 'key', id, text });
        assert.deepEqual(readCredential({ 'x-api-key': text }), { kind: 'key', id, text });
        assert.deepEqual(readCredential({ authorization: basic(user, text) }), { kind: 'key', id, text, user });
      },
    ),
  );
});

test('what has three parts in base64url after Bearer is a token, and nowhere else', () => {
  const text = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl-_';
  assert.deepEqual(readCredential({ authorization: `Bearer ${text}` }), { kind: 'token', text });
  assert.deepEqual(readCredential({ authorization: `bearer  ${text} ` }), { kind: 'token', text });
  assert.equal(readCredential({ 'x-api-key': text }).kind, 'invalid');
  assert.equal(readCredential({ authorization: text }).kind, 'invalid');
  assert.deepEqual(readCredential({ authorization: basic('mia', text) }), {
    kind: 'password',
    user: 'mia',
    password: text,
  });
  for (const other of ['a.b', 'a.b.c.d', 'a.b.c.d.e', 'a..c', '.b.c', 'a.b.', 'a.b+.c', 'a.b.c=', 'a.b c.d', 'ü.b.c']) {
    assert.equal(readCredential({ authorization: `Bearer ${other}` }).kind, 'invalid', other);
  }
  const long = (length: number) => readCredential({ authorization: `Bearer a.b.${'c'.repeat(length - 4)}` }).kind;
  assert.deepEqual([long(16 * 1024), long(16 * 1024 + 1)], ['token', 'invalid']);
});

test('a signature is read where the request is known that it is of', () => {
  const key = createCliKey();
  const request = { method: 'POST', target: '/api/chat?ts=1767225600' };
  const authorization = signed(key, 'POST,/api/chat?ts=1767225600');
  const credential = readCredential({ authorization, 'x-api-key': 'ignored' }, request);
  assert.ok(credential.kind === 'signature');
  assert.equal(credential.signature.publicKey, key.blob);
  assert.equal(readCredential({ authorization }).kind, 'invalid');
  assert.equal(readCredential({ authorization: `Bearer ${authorization}` }, request).kind, 'invalid');
  assert.equal(readCredential({ 'x-api-key': authorization }, request).kind, 'invalid');
  assert.equal(readCredential({ authorization }, { ...request, target: '/api/chat' }).kind, 'invalid');
  assert.equal(readCredential({ authorization: '' }, request).kind, 'invalid');
});

test('no header is too odd to be read', () => {
  const header = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .tuple(fc.constantFrom('Basic ', 'Bearer ', 'basic', 'Digest '), fc.string({ unit: 'binary' }))
      .map((parts) => parts.join('')),
    fc.base64String().map((text) => `Basic ${text}`),
  );
  fc.assert(
    fc.property(header, header, (authorization, apiKey) => {
      assert.ok(
        ['none', 'invalid', 'password', 'key', 'token'].includes(
          readCredential({ authorization, 'x-api-key': apiKey }, { method: 'GET', target: '/?ts=1' }).kind,
        ),
      );
    }),
    { numRuns: 1_000 },
  );
});
