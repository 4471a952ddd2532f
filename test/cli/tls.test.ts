import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { createCertificates, loopbackNames } from '../support/certificates.ts';
import { without } from '../support/debian.ts';
import { run } from '../support/run.ts';
import { keepRunning, ollamaGuard, type Running, temporaryFolder } from './command.ts';

const listening = /^listening on (https:\/\/\S+)$/m;
const sha256 = /(?:[0-9A-F]{2}:){31}[0-9A-F]{2}/;

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

async function withAlice(t: TestContext): Promise<string> {
  const data = await temporaryFolder(t);
  await ollamaGuard(['user', 'add', 'alice', '--password-stdin', '--data', data], 'secret');
  return data;
}

async function serve(t: TestContext, data: string, ...args: readonly string[]): Promise<Running> {
  const demo = await startDemoOllama({ tokensPerSecond: 0, tokens: 20 });
  t.after(() => demo.stop());
  return keepRunning(t, ['serve', '--listen', '127.0.0.1:0', '--upstream', demo.url, '--data', data, ...args]);
}

describe('ollama-guard ca', () => {
  it('makes an authority that its owner alone can read, and prints the same one from then on', async (t) => {
    const data = join(await temporaryFolder(t), 'data');
    const made = await ollamaGuard(['ca', '--data', data]);
    assert.equal(made.code, 0);
    assert.match(made.out, /^-----BEGIN CERTIFICATE-----\n[^-]+\n-----END CERTIFICATE-----\n$/);
    const certificate = new X509Certificate(made.out);
    assert.equal(certificate.ca, true);
    assert.equal(made.err, `SHA-256: ${certificate.fingerprint256}\n`);
    assert.deepEqual(await ollamaGuard(['ca', '--data', data]), made);
    const alone = await ollamaGuard(['ca', '--fingerprint', '--data', data]);
    assert.deepEqual(alone, { code: 0, out: `${certificate.fingerprint256}\n`, err: '' });
    assert.equal((await stat(data)).mode & 0o777, 0o700);
    assert.equal((await stat(join(data, 'tls'))).mode & 0o777, 0o700);
    assert.equal((await stat(join(data, 'tls', 'authority.json'))).mode & 0o777, 0o600);
  });

  it('leaves one that is damaged as it is', async (t) => {
    const data = await temporaryFolder(t);
    await ollamaGuard(['ca', '--data', data]);
    const file = join(data, 'tls', 'authority.json');
    await writeFile(file, '{"version":1');
    const outcome = await ollamaGuard(['ca', '--data', data]);
    assert.equal(outcome.code, 1);
    assert.equal(outcome.out, '');
    assert.doesNotMatch(outcome.err, /\n\s+at /);
    assert.equal(await readFile(file, 'utf8'), '{"version":1');
  });
});

describe('ollama-guard serve --tls', { skip: without('openssl', 'curl') }, () => {
  it('auto: encrypts with the authority of ca, says its SHA-256, and curl trusts that endpoint alone', async (t) => {
    const data = await withAlice(t);
    const ca = join(await temporaryFolder(t), 'ca.pem');
    const printed = await ollamaGuard(['ca', '--data', data]);
    await writeFile(ca, printed.out);
    const guard = await serve(t, data, '--tls', 'auto');
    const url = await guard.line(listening);
    await until(() => guard.printed.err.includes('SHA-256'));
    assert.equal(sha256.exec(guard.printed.err)?.[0], new X509Certificate(printed.out).fingerprint256);

    const withCa = await run('curl', ['-sS', '--cacert', ca, '-u', 'alice:secret', `${url}/api/tags`]);
    assert.match(withCa.out, /"models"/, withCa.err);
    const command = (await ollamaGuard(['curl', '--data', data])).out.replace('-u alice', '-sS -u alice:secret');
    assert.match(command, /-k --pinnedpubkey 'sha256\/\//);
    assert.equal((await run('bash', ['-c', command])).out, withCa.out);
    // The same command at another endpoint with a certificate of its own.
    const other = await serve(t, await withAlice(t), '--tls', 'auto');
    const otherUrl = await other.line(listening);
    const misled = await run('bash', ['-c', command.replace(url, otherUrl)]);
    assert.equal(misled.code, 90, 'CURLE_SSL_PINNEDPUBKEYNOTMATCH');
    const plain = await run('curl', ['-sS', '-i', `${url.replace('https', 'http')}/api/tags`]);
    assert.match(plain.out, /^HTTP\/1\.1 308 /);

    assert.equal(await guard.end('SIGTERM'), 0);
    assert.deepEqual(await readdir(data), ['tls', 'users.json'], 'nothing is left behind');
  });

  for (const format of ['pretty', 'json'] as const) {
    it(`files: takes a newer pair, and tells of one that is none, once (${format})`, async (t) => {
      const data = await withAlice(t);
      const folder = await temporaryFolder(t);
      const certificates = createCertificates(t);
      const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
      const put = async (pair = certificates.sign(...loopbackNames)) => {
        await copyFile(pair.key, key);
        await copyFile(pair.certificate, certificate);
      };
      await put();
      const guard = await serve(t, data, '--tls', `${certificate},${key}`, '--log-format', format);
      await guard.line(listening);
      const pin = async () =>
        /sha256\/\/[^']+/.exec((await ollamaGuard(['curl', '--data', data])).out)?.[0] ?? assert.fail('no pin');
      const first = await pin();
      await put();
      await until(async () => (await pin()) !== first);

      const told = () => guard.printed.err.split('\n').filter((line) => line.includes('holds no certificate'));
      const second = await pin();
      await writeFile(certificate, 'oh no');
      await until(() => told().length > 0);
      assert.equal(await pin(), second, 'the last good one stays');
      await put();
      await until(async () => (await pin()) !== second);
      await writeFile(certificate, 'oh no');
      await until(() => told().length > 1);
      const lines = told();
      assert.equal(lines.length, 2, 'once each time');
      if (format === 'json') {
        const { type, message } = JSON.parse(lines[0] ?? '');
        assert.equal(type, 'error');
        assert.match(message, /cert\.pem holds no certificate/);
      }
    });
  }

  it('files: a key of another certificate is one sentence', async (t) => {
    const certificates = createCertificates(t);
    const { certificate } = certificates.sign(...loopbackNames);
    const { key } = certificates.sign(...loopbackNames);
    const args = ['serve', '--listen', '127.0.0.1:0', '--tls', `${certificate},${key}`, '--data', await withAlice(t)];
    const outcome = await ollamaGuard(args);
    assert.equal(outcome.code, 1);
    assert.equal(outcome.out, '');
    assert.match(outcome.err, /^ollama-guard: .*private key.*\n$/);
  });

  it('acme: keeps the HMAC key of an external account where keys are kept, and says nothing of it', async (t) => {
    const data = await withAlice(t);
    const file = join(await temporaryFolder(t), 'hmac');
    await writeFile(file, 'c2VjcmV0LWhtYWMta2V5\n');
    const acme = ['--tls', 'acme', '--domain', 'gpu.example.org', '--acme-directory', 'https://127.0.0.1:1/dir'];
    const account = ['--acme-eab-key-id', 'id-1', '--acme-eab-hmac-file', file];
    const outcome = await ollamaGuard([
      'serve',
      '--listen',
      '127.0.0.1:0',
      ...acme,
      ...account,
      '--email',
      'a@example.org',
      '--data',
      data,
    ]);
    assert.equal(outcome.code, 1, 'nobody answers there');
    assert.equal(outcome.out, '');
    assert.doesNotMatch(outcome.err, /c2VjcmV0|\n\s+at /);
    const kept = join(data, 'tls', 'acme-external-account.json');
    assert.equal(await readFile(kept, 'utf8'), 'c2VjcmV0LWhtYWMta2V5');
    assert.equal((await stat(kept)).mode & 0o777, 0o600);
  });

  it('acme: SIGTERM ends one that still waits for its directory', async (t) => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    t.after(() => silent.close());
    const directory = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    const asked = once(silent, 'connection');
    const acme = ['--tls', 'acme', '--domain', 'gpu.example.org', '--acme-directory', directory];
    const guard = await serve(t, await withAlice(t), ...acme);
    const [socket] = await asked;
    t.after(() => socket.destroy());
    assert.equal(await guard.end('SIGTERM'), 0);
  });

  it('off beyond loopback: says that others can read along, and every way it is reached', async (t) => {
    const data = await withAlice(t);
    const guard = keepRunning(t, [
      'serve',
      '--listen',
      '0.0.0.0:0',
      '--upstream',
      'http://127.0.0.1:1',
      '--data',
      data,
    ]);
    const url = await guard.line(/^listening on (http:\/\/\S+)$/m);
    await until(() => guard.printed.err.includes('ollama serve'));
    assert.match(guard.printed.err, /Others on the network can read along.*--tls auto/);
    assert.match(guard.printed.err, new RegExp(`^reached at http://\\S+:${new URL(url).port}( \\(\\S+\\))?$`, 'm'));
    const encrypted = keepRunning(t, ['serve', '--listen', '0.0.0.0:0', '--tls', 'auto', '--data', data]);
    await encrypted.line(listening);
    await until(() => encrypted.printed.err.includes('ollama serve'));
    assert.doesNotMatch(encrypted.printed.err, /read along/);
    assert.match(encrypted.printed.err, /^reached at https:/m);
  });
});

describe('flags that do not fit are told in one sentence', () => {
  const acme = ['--tls', 'acme', '--domain', 'gpu.example.org'];
  const cases: readonly (readonly [name: string, args: readonly string[], says: RegExp])[] = [
    ['a mode that is none', ['--tls', 'on'], /--tls off, --tls auto, --tls acme or --tls CERT\.pem,KEY\.pem/],
    ['a certificate without a key', ['--tls', 'cert.pem,'], /CERT\.pem,KEY\.pem/],
    ['three files', ['--tls', 'a.pem,b.pem,c.pem'], /CERT\.pem,KEY\.pem/],
    ['acme without a domain', ['--tls', 'acme'], /needs a domain/],
    ['a domain without acme', ['--domain', 'gpu.example.org'], /--domain goes with --tls acme alone/],
    ['an e-mail address with auto', ['--tls', 'auto', '--email', 'a@example.org'], /--email goes with --tls acme/],
    ['a directory with files', ['--tls', 'a,b', '--acme-directory', 'https://x'], /--acme-directory goes with/],
    ['an HTTP port without http-01', [...acme, '--acme-http-port', '8080'], /--acme-challenge http-01/],
    ['a challenge that is none', [...acme, '--acme-challenge', 'dns-01'], /tls-alpn-01, http-01/],
    ['an HMAC key without its id', [...acme, '--acme-eab-hmac-file', 'x'], /--acme-eab-key-id/],
    [
      'an HMAC file that is not there',
      [...acme, '--acme-eab-key-id', 'x', '--acme-eab-hmac-file', '/nope'],
      /\/nope cannot be read \(ENOENT\)/,
    ],
    [
      'an HMAC file that holds none',
      [...acme, '--acme-eab-key-id', 'x', '--acme-eab-hmac-file', import.meta.filename],
      /holds no HMAC key/,
    ],
    ['a domain that is an address', ['--tls', 'acme', '--domain', '192.0.2.1'], /domain such as gpu\.example\.org/],
    ['a directory over http', [...acme, '--acme-directory', 'http://x'], /https address/],
    ['an e-mail address that is none', [...acme, '--email', 'me'], /e-mail/],
  ];
  for (const [name, args, says] of cases) {
    it(name, async (t) => {
      const data = await temporaryFolder(t);
      const outcome = await ollamaGuard(['serve', ...args, '--data', data]);
      assert.equal(outcome.code, 2, outcome.err);
      assert.match(outcome.err, says);
      assert.doesNotMatch(outcome.err, /\n\s+at |should ignore/);
      assert.equal(outcome.out, '');
      assert.deepEqual(await readdir(data), []);
    });
  }
});
