// What an encrypted endpoint agrees to, as openssl and curl see it.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { GuardConfigInput } from '../../src/guard/config.ts';
import { EndpointCertificate } from '../../src/guard/tls/endpointCertificate.ts';
import { createCertificates, loopbackNames } from '../support/certificates.ts';
import { without } from '../support/debian.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { request } from '../support/rawClient.ts';
import { run } from '../support/run.ts';

const skip = without('openssl', 'curl');
const certificates = skip ? undefined : createCertificates();
const signed = certificates?.sign(...loopbackNames, 'DNS:gpu.example.org');
const tls = { mode: 'files', certificate: '', key: '', ...signed } as const;
const ca = certificates?.ca ?? '';
const caFile = certificates?.caFile ?? '';

const start = async (t: TestContext, config: Partial<GuardConfigInput> = {}): Promise<TestGuard> =>
  startGuard(t, await startFakeOllama(t), { config: { tls, allowedHosts: ['gpu.example.org'], ...config } });

/** What was agreed on, such as `TLSv1.3, TLS_AES_128_GCM_SHA256`; undefined for a refusal. */
async function agreed({ port }: TestGuard, ...args: readonly string[]): Promise<string | undefined> {
  const { out } = await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args]);
  const [, version, cipher] = /^New, (\S+), Cipher is (\S+)$/m.exec(out) ?? [];
  return cipher === undefined || cipher === '(NONE)' ? undefined : `${version}, ${cipher}`;
}

describe('an encrypted endpoint', { skip }, () => {
  const versions: readonly (readonly [flag: string, agrees: string | undefined])[] = [
    ['-tls1', undefined],
    ['-tls1_1', undefined],
    ['-tls1_2', 'TLSv1.2, ECDHE-ECDSA-AES128-GCM-SHA256'],
    ['-tls1_3', 'TLSv1.3, TLS_AES_128_GCM_SHA256'],
  ];
  for (const [flag, expected] of versions) {
    it(`${expected === undefined ? 'refuses' : 'takes'} openssl ${flag}`, async (t) => {
      // Level 0, so that it is not openssl itself that refuses.
      assert.equal(await agreed(await start(t), flag, '-cipher', 'DEFAULT:@SECLEVEL=0'), expected);
    });
  }

  // No forward secrecy, no authenticated encryption, no authentication, no encryption.
  const weak = ['kRSA', 'ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'CAMELLIA', 'aNULL', 'eNULL'];
  for (const cipher of weak) {
    it(`refuses ciphers of ${cipher}`, async (t) => {
      const guard = await start(t);
      assert.equal(await agreed(guard, '-tls1_2', '-cipher', `${cipher}:@SECLEVEL=0`), undefined);
    });
  }

  it('prefers what it offers first, and takes what a client without AES in hardware prefers', async (t) => {
    const guard = await start(t);
    const reversed = 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256';
    assert.equal(await agreed(guard, '-tls1_2', '-cipher', reversed), 'TLSv1.2, ECDHE-ECDSA-AES128-GCM-SHA256');
    assert.equal(
      await agreed(guard, '-tls1_2', '-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305'),
      'TLSv1.2, ECDHE-ECDSA-CHACHA20-POLY1305',
    );
  });

  it('does not compress, and proves who it is', async (t) => {
    const { port } = await start(t);
    const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', caFile, '-verify_ip', '127.0.0.1', '-tls1_2'];
    const { out } = await run('openssl', args);
    assert.match(out, /^Compression: NONE$/m);
    assert.match(out, /^Secure Renegotiation IS supported$/m);
    assert.match(out, /Verify return code: 0 \(ok\)/);
  });

  it('answers curl with 1.2 and 1.3, streams to it, and asks for a credential', async (t) => {
    const guard = await start(t);
    const url = `https://127.0.0.1:${guard.port}/api/tags`;
    const curl = (...args: readonly string[]) => run('curl', ['-sS', '--cacert', caFile, ...args]);
    const bearer = `Authorization: Bearer ${team.mia.key}`;
    for (const version of ['--tls-max 1.2', '--tlsv1.3']) {
      assert.deepEqual(await curl(...version.split(' '), '-H', bearer, url), {
        code: 0,
        out: '{"models":[]}',
        err: '',
      });
    }
    assert.match((await curl('-i', url)).out, /^HTTP\/1\.1 401/);
    assert.match((await curl('--tls-max', '1.1', '--ciphers', 'DEFAULT@SECLEVEL=0', url)).err, /alert|protocol/);
    assert.match((await run('curl', ['-sS', url])).err, /certificate/);
  });

  it('sends curl from http to https, and leaves it with words when it has a password', async (t) => {
    const guard = await start(t);
    const url = `http://127.0.0.1:${guard.port}/api/tags`;
    const followed = await run('curl', ['-sS', '-L', '--cacert', caFile, '-w', ' %{http_code} %{url_effective}', url]);
    assert.match(followed.out, new RegExp(` 401 https://127.0.0.1:${guard.port}/api/tags$`));
    const { out } = await run('curl', ['-sS', '-L', '-u', `mia:${team.mia.password}`, url]);
    assert.match(out, /Write https:\/\//);
    assert.equal(guard.compares.length, 0);
  });

  it('tells of HSTS where every system trusts the certificate of a public name, and nowhere else', async (t) => {
    const guard = await start(t);
    const hsts = async (host: string, path = '/api/tags', ...secure: readonly string[]) =>
      (await request(t, guard.port, { path, headers: { host } }, secure.length > 0 ? {} : { ca })).headers[
        'strict-transport-security'
      ];
    assert.equal(await hsts('gpu.example.org'), undefined, 'a private authority');

    // No test can have a certificate that every system trusts, so one is said to be.
    const { tls: described } = guard.guard;
    assert.ok(described?.anchor);
    const { anchor: _private, ...trusted } = described;
    t.mock.getter(EndpointCertificate.prototype, 'tls', () => trusted);
    assert.equal(await hsts('gpu.example.org'), 'max-age=31536000');
    assert.equal(await hsts('gpu.example.org', '/_guard/health'), 'max-age=31536000');
    assert.equal(await hsts('127.0.0.1'), undefined);
    assert.equal(await hsts('localhost'), undefined);
    assert.equal(await hsts('gpu.example.org', '/api/tags', 'plain'), undefined, 'RFC 6797 §7.2');
    const open = await start(t, { plainOnLoopback: true });
    const plain = await request(t, open.port, { headers: { host: 'gpu.example.org' } });
    assert.equal(plain.status, 401, 'served, and not redirected');
    assert.equal(plain.headers['strict-transport-security'], undefined, 'RFC 6797 §7.2');
    const { headers } = await request(
      t,
      guard.port,
      { headers: { host: 'gpu.example.org', authorization: team.mia.bearer } },
      { ca },
    );
    assert.equal(headers['strict-transport-security'], 'max-age=31536000');
  });

  it("does not pass on what Ollama's own host says of HSTS", async (t) => {
    const upstream = await startFakeOllama(t, (reply) => {
      reply.raw('HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n');
    });
    const guard = await startGuard(t, upstream, { config: { tls } });
    const { headers } = await request(t, guard.port, { headers: { authorization: team.mia.bearer } }, { ca });
    assert.equal(headers['strict-transport-security'], undefined);
  });
});
