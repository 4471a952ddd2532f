import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { apiKeyId, createApiKey, createId, matchesApiKey } from '../../../src/guard/identity/apiKey.ts';

test('a new key has its id inside, 256 random bits, and matches its own digest alone', () => {
  const one = createApiKey();
  const other = createApiKey();
  assert.match(one.text, /^og_[a-z2-9]{10}_[A-Za-z0-9_-]{43}$/);
  assert.equal(apiKeyId(one.text), one.id);
  assert.equal(matchesApiKey(one.text, one.sha256), true);
  assert.equal(matchesApiKey(one.text, other.sha256), false);
  assert.equal(matchesApiKey(one.text, undefined), false);
  assert.ok(!one.sha256.includes(one.text.slice(14)));
});

test('ids have the form that stored records are checked for', () => {
  for (let i = 0; i < 1_000; i++) assert.match(createId(), /^[a-z2-9]{10}$/);
});

test('SEC-43: nothing but the exact form has an id', () => {
  const { text } = createApiKey();
  for (const near of [
    ` ${text}`,
    `${text} `,
    `${text}\n`,
    text.slice(0, -1),
    `${text}x`,
    text.toUpperCase(),
    `og_${text}`,
  ]) {
    assert.equal(apiKeyId(near), undefined, JSON.stringify(near));
  }
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (any) => apiKeyId(any) === undefined));
});
