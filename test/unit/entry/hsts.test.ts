import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { staysEncrypted } from '../../../src/guard/entry/hsts.ts';
import type { EndpointTls } from '../../../src/guard/tls/certificate.ts';

const trusted: EndpointTls = { mode: 'acme', expiresAt: 0, publicKeyPin: 'sha256//x' };
const unknown: EndpointTls = { ...trusted, anchor: { pem: '', sha256: '' } };

describe('a host is to stay encrypted', () => {
  const cases: readonly (readonly [header: string, stays: boolean])[] = [
    ['gpu.example.org', true],
    ['GPU.Example.ORG:8443', true],
    ['example.org', true],
    ['gpu', false],
    ['gpu:443', false],
    ['localhost', false],
    ['gpu.localhost', false],
    ['gpu.local', false],
    ['gpu.lan', false],
    ['gpu.internal', false],
    ['gpu.home.arpa', false],
    ['gpu.test', false],
    ['gpu.example', false],
    ['192.168.1.5:11435', false],
    ['8.8.8.8', false],
    ['[2001:db8::1]:443', false],
    ['gpu.example.org/#@x', false],
    ['', false],
  ];
  for (const [header, stays] of cases) {
    it(`${JSON.stringify(header)}: ${stays}`, () => {
      assert.equal(staysEncrypted(trusted, header), stays);
      assert.equal(staysEncrypted(unknown, header), false);
      assert.equal(staysEncrypted(undefined, header), false);
    });
  }
});
