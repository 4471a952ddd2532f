import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { certificateWith } from '../../../src/connector/trust.ts';
import { selfSigned } from '../../support/selfSigned.ts';

const day = 86_400_000;

test('a certificate is the one of its fingerprint alone, and nothing beside it is taken', async () => {
  const now = Date.now();
  const { chain: one } = await selfSigned('one.example', now - day, now + day);
  const { chain: other } = await selfSigned('one.example', now - day, now + day);
  const { fingerprint256 } = new X509Certificate(one);
  assert.equal(new X509Certificate(certificateWith(fingerprint256, one) ?? '').fingerprint256, fingerprint256);
  assert.doesNotMatch(certificateWith(fingerprint256, `words before\n${one}\nafter`) ?? '', /words|after/);
  const broken = one.replace(/[A-Z]{4}/, '!!!!');
  for (const pem of [other, `${one}\n${other}`, `${other}\n${one}`, '', 'not PEM', broken]) {
    assert.equal(certificateWith(fingerprint256, pem), undefined);
  }
});
