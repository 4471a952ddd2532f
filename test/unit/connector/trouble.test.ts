import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Trouble, troubleOf, worst } from '../../../src/connector/trouble.ts';

test('an endpoint that is away, one that breaks off, and one that is another are three things', () => {
  const codes: Readonly<Record<Exclude<Trouble, 'access-ended'>, readonly (string | undefined)[]>> = {
    'endpoint-unreachable': ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'],
    'endpoint-failed': ['ECONNRESET', 'EPIPE', 'HPE_INVALID_CONSTANT', undefined],
    'endpoint-unknown': [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'CERT_HAS_EXPIRED',
      'CERT_NOT_YET_VALID',
      'CERT_SIGNATURE_FAILURE',
      'INVALID_CA',
      'INVALID_PURPOSE',
      'HOSTNAME_MISMATCH',
      'ERR_TLS_CERT_ALTNAME_INVALID',
      'ERR_SSL_WRONG_VERSION_NUMBER',
      'EPROTO',
    ],
  };
  for (const [trouble, list] of Object.entries(codes)) {
    for (const code of list) assert.equal(troubleOf(code), trouble, code);
  }
});

test('of several, the most telling one is told', () => {
  assert.equal(worst(['endpoint-unreachable', 'endpoint-unknown', 'endpoint-failed']), 'endpoint-unknown');
  assert.equal(worst(['endpoint-unreachable']), 'endpoint-unreachable');
});
