import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { GuardError } from '../../../src/guard/errors.ts';
import { type Authority, loadAuthority } from '../../../src/guard/tls/authority.ts';
import { readAuthorityCertificate } from '../../../src/guard/tls/authorityRecord.ts';
import { type Certificate, certificatesIn } from '../../../src/guard/tls/certificate.ts';
import type { Names } from '../../../src/guard/tls/names.ts';
import { createMemoryVault, type Vault } from '../../../src/guard/tls/vault.ts';
import { without } from '../../support/debian.ts';
import { handshake, serve } from './tlsServer.ts';

const now = Date.now();
const dayMs = 86_400_000;
const options = { hostName: 'gpu-box', allowedHosts: ['gpu.example.org'], now };
const own: Names = {
  dns: ['gpu-box', 'gpu-box.local', 'gpu.example.org', 'localhost'],
  addresses: ['127.0.0.1', '192.168.1.5', '2001:db8::7', '::1'],
};
const foreign: Names = { dns: ['localhost', 'www.example.com'], addresses: ['127.0.0.1'] };

const load = (more: Partial<typeof options> = {}, vault = createMemoryVault()) =>
  loadAuthority(vault, { ...options, ...more });

const leafOf = ({ chain }: Certificate): X509Certificate => new X509Certificate(chain);

const hasPython = spawnSync('python3', ['-c', 'import ssl']).status === 0;

/** Files of an authority and a certificate of it, for programs; they go with the test. */
function files(t: TestContext, authority: Authority, certificate: Certificate) {
  const folder = mkdtempSync(join(tmpdir(), 'ollama-guard-authority-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [ca, leaf] = [join(folder, 'ca.pem'), join(folder, 'leaf.pem')];
  writeFileSync(ca, authority.anchor.pem);
  writeFileSync(leaf, certificate.chain);
  return { ca, leaf };
}

/** What openssl says of a certificate: OK, or why not. */
function verify(t: TestContext, authority: Authority, certificate: Certificate, ...more: readonly string[]): string {
  const { ca, leaf } = files(t, authority, certificate);
  const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', ca, ...more, leaf];
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  return status === 0 ? 'OK' : (/^error \d+ at \d+ depth lookup: (.*)$/m.exec(stderr)?.[1] ?? stderr);
}

/** How each client gets on with a server of a certificate at 127.0.0.1, under a name. */
const clients: Readonly<
  Record<string, { skip: string | boolean; run: (port: number, ca: string, name: string) => Promise<void> }>
> = {
  node: {
    skip: false,
    run: async (port, ca, name) => {
      const result = await handshake({ host: '127.0.0.1', port, servername: name, ca: execFileSync('cat', [ca]) });
      if (typeof result === 'string') throw new Error(result);
    },
  },
  curl: {
    skip: without('curl'),
    run: async (port, ca, name) => {
      const at = `${name}:${port}`;
      const options = ['-sS', '--noproxy', '*', '--cacert', ca, '--resolve', `${at}:127.0.0.1`];
      await promisify(execFile)('curl', [...options, `https://${at}/`]);
    },
  },
  python: {
    skip: !hasPython && 'needs python3',
    run: async (port, ca, name) => {
      const script = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.verify_flags |= ssl.VERIFY_X509_STRICT
with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as plain:
    context.wrap_socket(plain, server_hostname=sys.argv[3]).close()
`;
      await promisify(execFile)('python3', ['-c', script, String(port), ca, name]);
    },
  },
};

describe("a certificate of this installation's authority", () => {
  it('is what openssl takes, strictly, for every name and address', { skip: without('openssl') }, async (t) => {
    const authority = await load();
    const certificate = await authority.issue(own, now);
    for (const name of own.dns) assert.equal(verify(t, authority, certificate, '-verify_hostname', name), 'OK', name);
    for (const ip of own.addresses) assert.equal(verify(t, authority, certificate, '-verify_ip', ip), 'OK', ip);
  });

  const refused: readonly (readonly [names: Partial<Names>, hostName: string, why: string])[] = [
    [{ dns: ['www.example.com'] }, 'gpu-box', 'permitted subtree violation'],
    [{ dns: ['example.org'] }, 'gpu-box', 'permitted subtree violation'],
    [{ dns: ['www.dev'] }, 'gpu-box', 'permitted subtree violation'],
    [{ dns: ['www.dev'] }, 'dev', 'excluded subtree violation'],
    [{ dns: ['xn--p1ai'] }, 'dev', 'permitted subtree violation'],
    [{ dns: ['www.xn--p1ai'] }, 'xn--p1ai', 'excluded subtree violation'],
  ];
  for (const [names, hostName, why] of refused) {
    it(`for ${names.dns} is refused on ${hostName}`, { skip: without('openssl') }, async (t) => {
      const authority = await load({ hostName });
      const certificate = await authority.issue({ dns: [], addresses: ['127.0.0.1'], ...names }, now);
      assert.equal(verify(t, authority, certificate), why);
      assert.ok(names.dns?.every((name) => !authority.permits(name)));
    });
  }

  const permitted: readonly (readonly [dns: string, hostName: string])[] = [
    ['dev', 'dev'],
    ['x.gpu-box', 'gpu-box'],
    ['other.local', 'gpu-box'],
    ['mac.corp.example', 'mac.corp.example'],
    ['gpu.example.org', 'org'],
    ['dev.local', 'dev.local'],
  ];
  for (const [dns, hostName] of permitted) {
    it(`for ${dns} is permitted on ${hostName}`, { skip: without('openssl') }, async (t) => {
      const authority = await load({ hostName });
      const certificate = await authority.issue({ dns: [dns], addresses: ['127.0.0.1'] }, now);
      assert.equal(verify(t, authority, certificate, '-verify_hostname', dns), 'OK');
      assert.ok(authority.permits(dns));
    });
  }

  for (const [client, { skip, run }] of Object.entries(clients)) {
    it(`is taken by ${client}, and refused when it is for a foreign name`, { skip }, async (t) => {
      const authority = await load();
      const good = await authority.issue(own, now);
      const { ca } = files(t, authority, good);
      const port = await serve(t, good);
      for (const name of ['localhost', 'gpu.example.org']) await run(port, ca, name);
      const foreignPort = await serve(t, await authority.issue(foreign, now));
      for (const name of foreign.dns) await assert.rejects(run(foreignPort, ca, name), /subtree violation/i, name);
      // A client without the authority takes none of it.
      const other = files(t, await load(), good);
      await assert.rejects(run(port, other.ca, 'localhost'));
    });
  }

  it('is taken by Node at addresses of both families', async (t) => {
    const authority = await load();
    const port = await serve(t, await authority.issue(own, now));
    for (const host of ['127.0.0.1', '::1']) {
      const presented = await handshake({ host, port, ca: authority.anchor.pem });
      assert.ok(typeof presented !== 'string', String(presented));
    }
  });

  it('lives 90 days from an hour ago, and never longer than its authority', async () => {
    const authority = await load();
    const { validFromDate, validToDate } = leafOf(await authority.issue(own, now));
    assert.equal(validFromDate.getTime(), Math.floor((now - 3_600_000) / 1_000) * 1_000);
    assert.equal(validToDate.getTime(), Math.floor((now + 90 * dayMs) / 1_000) * 1_000);
    const late = await authority.issue(own, authority.endsAt - 5 * dayMs);
    assert.equal(leafOf(late).validToDate.getTime(), authority.endsAt);
  });

  it('keeps its key, so that pins hold, and gets a new serial number of 16 bytes', async () => {
    const vault = createMemoryVault();
    const first = await (await load({}, vault)).issue(own, now);
    const second = await (await load({}, vault)).issue(own, now + 60 * dayMs);
    const pin = (certificate: Certificate) =>
      createHash('sha256')
        .update(leafOf(certificate).publicKey.export({ type: 'spki', format: 'der' }))
        .digest('hex');
    assert.equal(pin(first), pin(second));
    assert.notEqual(leafOf(first).serialNumber, leafOf(second).serialNumber);
    for (const { serialNumber } of [first, second].map(leafOf)) assert.match(serialNumber, /^[4-7][0-9A-F]{31}$/);
  });

  it('goes with the certificate of its authority', async () => {
    const authority = await load();
    const [leaf, ca] = certificatesIn((await authority.issue(own, now)).chain);
    assert.ok(leaf && ca && leaf.verify(ca.publicKey));
    assert.equal(ca.fingerprint256, authority.anchor.sha256);
  });
});

describe('the authority of an installation', () => {
  it('is made once, for five years', async () => {
    const vault = createMemoryVault();
    const first = await load({}, vault);
    const second = await load({ now: now + 4 * 365 * dayMs }, vault);
    assert.deepEqual(first.anchor, second.anchor);
    assert.equal(first.endsAt, Math.floor((now + 5 * 365 * dayMs) / 1_000) * 1_000);
  });

  it('can be told apart from those of others', async () => {
    const subject = async () => new X509Certificate((await load()).anchor.pem).subject;
    const [one, other] = [await subject(), await subject()];
    assert.match(one, /^CN=Ollama Guard on gpu-box \([a-z2-9]{10}\)$/);
    assert.notEqual(one, other);
    const { subject: long } = new X509Certificate((await load({ hostName: 'x'.repeat(100) })).anchor.pem);
    assert.equal(long.length, 'CN='.length + 64);
  });

  it('is replaced within a day of its end, and not before', async () => {
    const vault = createMemoryVault();
    const { anchor, endsAt } = await load({}, vault);
    assert.deepEqual((await load({ now: endsAt - dayMs }, vault)).anchor, anchor);
    const next = await load({ now: endsAt - dayMs + 1 }, vault);
    assert.notDeepEqual(next.anchor, anchor);
    assert.deepEqual(await readAuthorityCertificate(vault), next.anchor);
  });

  it('comes back when the clock that ended it was wrong', async () => {
    const vault = createMemoryVault();
    const { anchor } = await load({}, vault);
    const later = await load({ now: now + 6 * 365 * dayMs }, vault);
    assert.notEqual(later.anchor.sha256, anchor.sha256);
    assert.equal((await load({}, vault)).anchor.sha256, anchor.sha256);
    assert.equal((await readAuthorityCertificate(vault))?.sha256, anchor.sha256);
    assert.equal((await load({}, vault)).anchor.sha256, anchor.sha256, 'and stays');
  });

  it('made by a clock that was ahead is good when the clock is set right', async (t) => {
    const authority = await load({ now: now + 3 * dayMs });
    assert.equal(verify(t, authority, await authority.issue(own, now)), 'OK');
  });

  it('is not replaced because the clock is behind', async () => {
    const vault = createMemoryVault();
    const { anchor } = await load({}, vault);
    assert.deepEqual((await load({ now: 0 }, vault)).anchor, anchor);
  });

  it('shows its certificate, and none before there is one', async () => {
    const vault = createMemoryVault();
    assert.equal(await readAuthorityCertificate(vault), undefined);
    const { anchor } = await load({}, vault);
    assert.deepEqual(await readAuthorityCertificate(vault), anchor);
    assert.match(anchor.sha256, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  });

  for (const step of ['first read', 'second read', 'write'] as const) {
    it(`is what another process stored right after the ${step}`, async () => {
      const stored = createMemoryVault();
      let steps: string[] = ['first read', 'second read', 'write'];
      const other = async () => {
        steps = [];
        await load({}, stored).then(() => load({ now: now + 5 * 365 * dayMs }, stored));
      };
      const vault: Vault = {
        read: async (entry) => {
          const text = await stored.read(entry);
          if (steps.shift() === step) await other();
          return text;
        },
        write: async (entry, text) => {
          await stored.write(entry, text);
          if (steps.shift() === step) await other();
        },
      };
      assert.deepEqual((await load({}, vault)).anchor, await readAuthorityCertificate(stored));
    });
  }

  it('that is damaged is an error, and left alone', async () => {
    const vault = createMemoryVault();
    await load({}, vault);
    const good = JSON.parse((await vault.read('authority')) ?? '');
    const other = createMemoryVault();
    await load({}, other);
    const { key } = JSON.parse((await other.read('authority')) ?? '');
    const leaf = (await (await load({}, vault)).issue(own, now)).chain;
    const damaged = [
      '',
      '{',
      'null',
      JSON.stringify({ ...good, version: 2 }),
      JSON.stringify({ ...good, more: 1 }),
      JSON.stringify({ ...good, key: undefined }),
      JSON.stringify({ ...good, key }),
      JSON.stringify({ ...good, leafKey: 'none' }),
      JSON.stringify({ ...good, certificate: good.certificate.slice(0, 200) }),
      JSON.stringify({ ...good, certificate: leaf, key: good.leafKey }),
    ];
    for (const text of damaged) {
      await vault.write('authority', text);
      await assert.rejects(load({}, vault), (error) => GuardError.is(error, 'data-damaged'), text);
      await assert.rejects(readAuthorityCertificate(vault), (error) => GuardError.is(error, 'data-damaged'), text);
      assert.equal(await vault.read('authority'), text);
    }
  });

  it('that cannot be read is an error, and never taken for none', async () => {
    const locked = new GuardError('data-unavailable', 'locked');
    const writes: string[] = [];
    const vault: Vault = {
      read: () => Promise.reject(locked),
      write: async (_entry, text) => void writes.push(text),
    };
    await assert.rejects(load({}, vault), locked);
    await assert.rejects(readAuthorityCertificate(vault), locked);
    assert.deepEqual(writes, []);
  });

  it('that cannot be stored is an error: nobody would trust another one after each start', async () => {
    const full = new GuardError('data-unavailable', 'full');
    const vault: Vault = { read: async () => undefined, write: () => Promise.reject(full) };
    await assert.rejects(load({}, vault), full);
  });
});
