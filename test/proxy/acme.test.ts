// Certificates from an ACME directory (RFC 8555): a real one, that makes sure of domains in earnest.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server as HttpsServer } from 'node:https';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { parseConfig } from '../../src/guard/config.ts';
import { createListener } from '../../src/guard/entry/listener.ts';
import { GuardError } from '../../src/guard/errors.ts';
import { inEnglish, type Message } from '../../src/guard/message.ts';
import { openAcme } from '../../src/guard/tls/acme.ts';
import { type Certificate, certificatesIn } from '../../src/guard/tls/certificate.ts';
import type { CertificateSource, Challenges } from '../../src/guard/tls/source.ts';
import type { TlsConfigOf } from '../../src/guard/tls/tlsConfig.ts';
import { createMemoryVault, type Vault } from '../../src/guard/tls/vault.ts';
import { without } from '../support/debian.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { Pebble, type PebbleOptions } from '../support/pebble.ts';
import { team } from '../support/people.ts';
import { selfSigned } from '../support/selfSigned.ts';
import { Signal } from '../support/signal.ts';

const skip = without('pebble', 'openssl');
const domain = 'gpu.example.test';
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** A directory to which a domain leads to this computer. */
async function startPebble(t: TestContext, options?: PebbleOptions): Promise<Pebble> {
  const pebble = await Pebble.start(t, options);
  await pebble.resolve(domain, '127.0.0.1');
  return pebble;
}

type AcmeConfig = TlsConfigOf<'acme'>;

const configFor = (pebble: Pebble): AcmeConfig => ({
  mode: 'acme',
  domain,
  email: 'owner@example.org',
  directory: pebble.directory,
  directoryCa: pebble.caFile,
  challenge: 'http-01',
  httpPort: pebble.httpPort,
});

interface Opened {
  readonly source: CertificateSource;
  /** After the first. */
  readonly certificates: Certificate[];
  readonly problems: (Message | undefined)[];
  /** Waits until something is told of which this holds. */
  until(holds: (opened: Opened) => boolean): Promise<void>;
}

interface OpenOptions {
  readonly vault?: Vault;
  readonly challenges?: Challenges;
  readonly now?: () => number;
  readonly config?: Partial<AcmeConfig>;
}

/** Opens a source for a directory; it closes with the test. */
async function open(t: TestContext, pebble: Pebble, options: OpenOptions = {}): Promise<Opened> {
  const changed = new Signal();
  const certificates: Certificate[] = [];
  const problems: (Message | undefined)[] = [];
  const source = await openAcme(
    { ...configFor(pebble), ...options.config },
    {
      vault: options.vault ?? createMemoryVault(),
      allowedHosts: [],
      challenges: options.challenges ?? { onAlpn: undefined },
      onCertificate: (certificate) => {
        certificates.push(certificate);
        changed.notify();
      },
      onProblem: (problem) => {
        problems.push(problem);
        changed.notify();
      },
      ...(options.now && { now: options.now }),
    },
  );
  t.after(() => source.close());
  const opened: Opened = {
    source,
    certificates,
    problems,
    until: async (holds) => {
      await changed.until(() => holds(opened) || undefined);
    },
  };
  return opened;
}

/** A vault that holds a certificate as if the directory had given it. */
async function vaultWith(
  pebble: Pebble,
  from: number,
  to: number,
): Promise<{ vault: Vault; certificate: Certificate }> {
  const vault = createMemoryVault();
  const certificate = await selfSigned(domain, from, to);
  const items = [{ directory: pebble.directory, domain, ...certificate }];
  await vault.write('acme-certificate', JSON.stringify({ version: 1, items }));
  return { vault, certificate };
}

async function accountsIn(vault: Vault): Promise<readonly { readonly key: string; readonly url: string }[]> {
  return JSON.parse((await vault.read('acme-account')) ?? '').items;
}

/** A third of the life of this one is left, or less: a new one is wanted. */
const dueFrom = () => Date.now() - 80 * day;
const dueTo = () => Date.now() + 5 * day;

const serialOf = ({ chain }: Certificate) => certificatesIn(chain)[0]?.serialNumber;

const said = (problem: Message | undefined): string => (problem === undefined ? '' : inEnglish(problem));

async function refusalOf(opening: Promise<unknown>): Promise<GuardError> {
  const error = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(GuardError.is(error), String(error));
  return error;
}

/** An encrypted connection that trusts what the directory issues, and nothing else. */
async function connectTo(t: TestContext, pebble: Pebble, port: number): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, servername: domain, ca: await pebble.root() });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

test('tls-alpn-01 is answered by the endpoint itself, which is used with the certificate then', { skip }, async (t) => {
  const pebble = await startPebble(t);
  const upstream = await startFakeOllama(t, (reply) => reply.json({ models: [] }));
  const vault = createMemoryVault();
  const { httpPort: _, ...tls } = configFor(pebble);
  const guard = await startGuard(t, upstream, {
    vault,
    config: { port: pebble.tlsPort, tls: { ...tls, challenge: 'tls-alpn-01' } },
  });
  const socket = await connectTo(t, pebble, guard.port);
  assert.equal(socket.authorized, true);
  socket.write(`GET /api/tags HTTP/1.1\r\nHost: ${domain}\r\nAuthorization: ${team.mia.bearer}\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 200 OK\r\n/);
  assert.equal(guard.guard.tls?.problem, undefined);
  assert.equal(await pebble.orders(), 1);
});

test('http-01 is answered at a port that is open only while there is an order', { skip }, async (t) => {
  const pebble = await startPebble(t);
  const { source } = await open(t, pebble);
  assert.equal(certificatesIn(source.certificate.chain)[0]?.checkHost(domain), domain);
  const probe = connectTcp(pebble.httpPort, '127.0.0.1');
  const [error] = await once(probe, 'error');
  assert.equal((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
});

test('a restart with a certificate asks for nothing, nor does going back to an earlier domain', { skip }, async (t) => {
  const pebble = await startPebble(t);
  await pebble.resolve('other.example.test', '127.0.0.1');
  const vault = createMemoryVault();
  const first = await open(t, pebble, { vault });
  first.source.close();
  const asked = await pebble.requests();
  const again = await open(t, pebble, { vault });
  assert.equal(serialOf(again.source.certificate), serialOf(first.source.certificate));
  assert.deepEqual(await pebble.requests(), asked);

  const other = await open(t, pebble, { vault, config: { domain: 'other.example.test' } });
  other.source.close();
  assert.deepEqual([await pebble.orders(), await pebble.accounts()], [2, 1]);
  await pebble.stop();
  const back = await open(t, pebble, { vault });
  assert.equal(serialOf(back.source.certificate), serialOf(first.source.certificate));
});

test('a certificate with a third of its life left is renewed, and no stream ends for it', { skip }, async (t) => {
  const pebble = await startPebble(t);
  const { vault, certificate: old } = await vaultWith(pebble, dueFrom(), dueTo());
  // The renewal waits here, so that a stream begins before it.
  const begun = Promise.withResolvers<void>();
  const held: Vault = {
    ...vault,
    read: async (entry) => {
      if (entry === 'acme-account') await begun.promise;
      return vault.read(entry);
    },
  };
  const upstream = await startFakeOllama(t, () => {});
  const { httpPort: _, ...tls } = configFor(pebble);
  const guard = await startGuard(t, upstream, {
    vault: held,
    config: { port: pebble.tlsPort, tls: { ...tls, challenge: 'tls-alpn-01' } },
  });
  const before = guard.guard.tls;
  const socket = connect({ host: '127.0.0.1', port: guard.port, servername: domain, ca: old.chain });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  let received = '';
  const changed = new Signal();
  socket.on('data', (data) => {
    received += data;
    changed.notify();
  });
  const has = (text: string) => changed.until(() => received.includes(text) || undefined);
  socket.write(
    `POST /api/chat HTTP/1.1\r\nHost: ${domain}\r\nAuthorization: ${team.mia.bearer}\r\nContent-Length: 13\r\n\r\n{"model":"m"}`,
  );
  const reply = await upstream.reply(0);
  reply.stream();
  reply.chunk('{"response":"before"}\n');
  await has('before');

  begun.resolve();
  await guard.isDescribed(({ expiresAt }) => expiresAt !== before?.expiresAt);
  await connectTo(t, pebble, guard.port);
  reply.chunk('{"response":"after"}\n');
  await has('after');
  reply.end();
  await has('\r\n0\r\n\r\n');
  assert.equal(guard.guard.tls?.problem, undefined);
  assert.equal(await pebble.orders(), 1);
});

test('the wall clock is looked at every minute, and says when to renew', { skip }, async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const pebble = await startPebble(t, { validitySeconds: 2 * 60 * 60 });
  let shift = 0;
  const vault = createMemoryVault();
  const opened = await open(t, pebble, { vault, now: () => Date.now() + shift });
  const first = serialOf(opened.source.certificate);
  // What it issues from here on is for longer than the clock is put forward.
  await pebble.stop();
  await pebble.start({});
  const asked = await pebble.requests();
  t.mock.timers.tick(minute);
  assert.deepEqual(await pebble.requests(), asked);

  // No renewal is due by this much, nor is the clock thought to be wrong: both limits are close.
  shift = 58 * minute;
  t.mock.timers.tick(minute);
  assert.deepEqual(await pebble.requests(), asked);
  assert.deepEqual(opened.certificates, []);
  opened.source.close();

  const { vault: dueSoon } = await vaultWith(pebble, Date.now() - 10 * minute, Date.now() + 20 * minute);
  shift = 0;
  const soon = await open(t, pebble, { vault: dueSoon, now: () => Date.now() + shift });
  t.mock.timers.tick(minute);
  assert.equal(await pebble.orders(), 1);
  shift = 11 * minute;
  t.mock.timers.tick(minute);
  await soon.until(({ certificates }) => certificates.length === 1);
  assert.notEqual(first, serialOf(soon.source.certificate));
  assert.equal(await pebble.orders(), 2);
});

test('a directory that is down at the first start is a clear error', { skip }, async (t) => {
  const pebble = await startPebble(t);
  await pebble.stop();
  const error = await refusalOf(open(t, pebble));
  assert.equal(error.code, 'certificate-unavailable');
  assert.match(error.message, /^The ACME directory https:\S+ cannot be reached \(ECONNREFUSED\)\. Check its address/);
});

test('while the directory is down the old certificate stays, and a new one comes when it is back', {
  skip,
}, async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const pebble = await startPebble(t);
  const vault = createMemoryVault();
  const had = await open(t, pebble, { vault });
  had.source.close();
  const before = await accountsIn(vault);
  const stored = await selfSigned(domain, dueFrom(), dueTo());
  const items = [{ directory: pebble.directory, domain, ...stored }];
  await vault.write('acme-certificate', JSON.stringify({ version: 1, items }));
  await pebble.stop();
  let shift = 0;
  const opened = await open(t, pebble, { vault, now: () => Date.now() + shift });
  await opened.until(({ problems }) => problems.length === 1);
  assert.match(said(opened.problems[0]), /cannot be reached \(ECONNREFUSED\)/);
  assert.equal(serialOf(opened.source.certificate), serialOf(stored));

  // It comes back without its memory, so the account has to be made anew, with the same key.
  await pebble.start();
  t.mock.timers.tick(minute);
  await open(t, pebble);
  // One at first, and that of whoever came just now: the pause is not over.
  assert.equal(await pebble.orders(), 2);
  shift = 2 * minute;
  t.mock.timers.tick(minute);
  await opened.until(({ problems }) => problems.length === 2);
  assert.equal(opened.problems[1], undefined);
  assert.equal(opened.certificates.length, 1);
  assert.notEqual(serialOf(opened.source.certificate), serialOf(stored));
  const after = await accountsIn(vault);
  assert.deepEqual([after.length, after[0]?.key], [1, before[0]?.key]);
  assert.notEqual(after[0]?.url, before[0]?.url);
});

for (const [what, address, words] of [
  ['has no address', undefined, /^The ACME directory does not find this endpoint at gpu\.example\.test, port 80\./],
  ['leads elsewhere', '127.0.0.2', /^The ACME directory does not find this endpoint at gpu\.example\.test, port 80\./],
] as const) {
  test(`a domain that ${what} is a clear error, after one order`, { skip }, async (t) => {
    const pebble = await Pebble.start(t);
    if (address !== undefined) {
      await pebble.resolve(domain, address);
      const elsewhere = createServer((socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'));
      await once(elsewhere.listen(pebble.httpPort, address), 'listening');
      t.after(() => elsewhere.close());
    }
    const config = address === undefined ? {} : { httpPort: pebble.tlsPort };
    const error = await refusalOf(open(t, pebble, { config }));
    assert.equal(error.code, 'certificate-unavailable');
    assert.match(error.message, words);
    assert.equal(await pebble.orders(), 1);
  });
}

for (const [direction, shift] of [
  ['ahead', 400 * day],
  ['behind', -400 * day],
] as const) {
  test(`a clock that is ${direction} is told, and nothing is ordered by it`, { skip }, async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const pebble = await startPebble(t);
    const now = () => Date.now() + shift;
    const error = await refusalOf(open(t, pebble, { now }));
    assert.match(error.message, /^The clock of this computer shows .* Set the clock of this computer\.$/);

    // Due by the wrong clock.
    const { vault, certificate } = await vaultWith(pebble, now() - 80 * day, now() + 5 * day);
    let current = shift;
    const opened = await open(t, pebble, { vault, now: () => Date.now() + current });
    await opened.until(({ problems }) => problems.length === 1);
    assert.match(said(opened.problems[0]), /^The clock of this computer shows/);
    assert.equal(serialOf(opened.source.certificate), serialOf(certificate));
    assert.equal(await pebble.orders(), 0);
    // Set right.
    current = 0;
    const { vault: own } = await vaultWith(pebble, dueFrom(), dueTo());
    const right = await open(t, pebble, { vault: own });
    await right.until(({ certificates }) => certificates.length === 1);
    assert.equal(await pebble.orders(), 1);
  });
}

test('by a clock that is behind, a certificate goes on serving, and that is told until the clock is set', {
  skip,
}, async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const pebble = await startPebble(t);
  const vault = createMemoryVault();
  const first = await open(t, pebble, { vault });
  first.source.close();
  const asked = await pebble.requests();
  let shift = -1 * day;
  const opened = await open(t, pebble, { vault, now: () => Date.now() + shift });
  await opened.until(({ problems }) => problems.length === 1);
  assert.match(said(opened.problems[0]), /^By the clock of this computer, this is not the time of the certificate/);
  assert.equal(serialOf(opened.source.certificate), serialOf(first.source.certificate));
  shift = 0;
  t.mock.timers.tick(minute);
  await opened.until(({ problems }) => problems.length === 2);
  assert.equal(opened.problems[1], undefined);
  assert.deepEqual(await pebble.requests(), asked);
});

test('a new certificate that is nearly over by this clock is told of, and not ordered again and again', {
  skip,
}, async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const pebble = await startPebble(t, { validitySeconds: 60 * 60 });
  const now = () => Date.now() + 50 * minute;
  const { vault, certificate } = await vaultWith(pebble, dueFrom(), dueTo());
  const opened = await open(t, pebble, { vault, now });
  await opened.until(({ problems }) => problems.length === 1);
  assert.match(said(opened.problems[0]), /^By the clock of this computer, this is not the time of the certificate/);
  assert.equal(serialOf(opened.source.certificate), serialOf(certificate));
  t.mock.timers.tick(minute);
  await open(t, pebble);
  // One, and that of whoever came just now.
  assert.equal(await pebble.orders(), 2);
});

test('a certificate that ran out is replaced, and that it did is said where it cannot be', { skip }, async (t) => {
  const pebble = await startPebble(t);
  const { vault, certificate } = await vaultWith(pebble, Date.now() - 90 * day, Date.now() - 1_000);
  const stored = await vault.read('acme-certificate');
  await pebble.stop();
  const error = await refusalOf(open(t, pebble, { vault }));
  assert.match(
    error.message,
    /^The certificate for gpu\.example\.test ran out at \S+, and there is no new one\. The ACME/,
  );
  assert.equal(await vault.read('acme-certificate'), stored);
  await pebble.start();
  const opened = await open(t, pebble, { vault });
  assert.notEqual(serialOf(opened.source.certificate), serialOf(certificate));
  assert.deepEqual(opened.certificates, []);
});

const hmacKey = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';

test('an external account is bound with its key', { skip }, async (t) => {
  const pebble = await startPebble(t, { externalAccounts: { 'kid-1': hmacKey } });
  const vault = createMemoryVault();
  await vault.write('acme-external-account', `${hmacKey}\n`);
  const { source } = await open(t, pebble, { vault, config: { externalAccount: 'kid-1' } });
  assert.equal(certificatesIn(source.certificate.chain)[0]?.checkHost(domain), domain);
});

for (const [what, externalAccount, key, words] of [
  ['without an external account', undefined, undefined, /wants an external account\. Give its id and its HMAC key\.$/],
  ['without a key', 'kid-1', undefined, /^There is no HMAC key for the external account kid-1\./],
  ['with a wrong key', 'kid-1', hmacKey.toLowerCase(), /does not take the external account kid-1\. Check its id and/],
  ['with a wrong id', 'kid-2', hmacKey, /does not take the external account kid-2\. Check its id and/],
] as const) {
  test(`a directory that wants an external account, ${what}: a clear error and no order`, { skip }, async (t) => {
    const pebble = await startPebble(t, { externalAccounts: { 'kid-1': hmacKey } });
    const vault = createMemoryVault();
    if (key !== undefined) await vault.write('acme-external-account', key);
    const config = externalAccount === undefined ? {} : { externalAccount };
    const error = await refusalOf(open(t, pebble, { vault, config }));
    assert.equal(error.code, 'certificate-unavailable');
    assert.match(error.message, words);
    assert.ok(!error.message.includes(hmacKey) && !error.message.includes(hmacKey.toLowerCase()));
    assert.equal(await pebble.orders(), 0);
  });
}

test('an account that was made but not written down is found again by its key', { skip }, async (t) => {
  const pebble = await startPebble(t);
  const vault = createMemoryVault();
  let writes = 0;
  const stops: Vault = {
    ...vault,
    write: async (entry, text) => {
      writes += 1;
      if (writes === 2) throw new GuardError('data-unavailable', 'the power went');
      await vault.write(entry, text);
    },
  };
  assert.equal((await refusalOf(open(t, pebble, { vault: stops }))).code, 'data-unavailable');
  await open(t, pebble, { vault });
  assert.deepEqual([await pebble.accounts(), await pebble.orders()], [1, 1]);
});

test('another e-mail address changes the account, and makes no other', { skip }, async (t) => {
  const pebble = await startPebble(t);
  await pebble.resolve('other.example.test', '127.0.0.1');
  const vault = createMemoryVault();
  await open(t, pebble, { vault });
  await open(t, pebble, { vault, config: { email: 'other@example.org', domain: 'other.example.test' } });
  assert.equal(await pebble.accounts(), 1);
  assert.ok((await pebble.requests()).includes('POST /my-account/'));
});

for (const entry of ['acme-account', 'acme-certificate'] as const) {
  test(`a damaged ${entry} is an error, is left alone, and nothing is asked for`, { skip }, async (t) => {
    const pebble = await startPebble(t);
    const vault = createMemoryVault();
    await vault.write(entry, '{"version":1,"items":[{"key":"-----BEGIN SECRET');
    const error = await refusalOf(open(t, pebble, { vault }));
    assert.equal(error.code, 'data-damaged');
    assert.ok(!error.message.includes('SECRET'));
    assert.equal(await vault.read(entry), '{"version":1,"items":[{"key":"-----BEGIN SECRET');
    assert.equal(await pebble.orders(), 0);
  });
}

test('a vault that takes nothing keeps no certificate from serving, and is told of', { skip }, async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const pebble = await startPebble(t);
  const vault = createMemoryVault();
  let isFull = true;
  const full: Vault = {
    ...vault,
    write: async (entry, text) => {
      if (isFull && entry === 'acme-certificate') throw new GuardError('data-unavailable', 'the disk is full');
      await vault.write(entry, text);
    },
  };
  const opened = await open(t, pebble, { vault: full });
  assert.deepEqual(opened.problems.map(said), ['the disk is full']);
  isFull = false;
  t.mock.timers.tick(minute);
  await opened.until(({ problems }) => problems.length === 2);
  assert.notEqual(await vault.read('acme-certificate'), undefined);
  assert.equal(await pebble.orders(), 1);
});

test('a listener answers a challenge without HTTP behind it, and others as ever', { skip }, async (t) => {
  const pebble = await startPebble(t);
  const challenges: Challenges = { onAlpn: undefined };
  const config = parseConfig({
    host: '127.0.0.1',
    port: pebble.tlsPort,
    upstream: 'http://127.0.0.1:1',
    tls: { mode: 'acme', domain },
  });
  let requests = 0;
  const server = createListener(
    config,
    {
      onRequest: (_req, res) => {
        requests += 1;
        res.end();
      },
      onConnection: () => {},
    },
    challenges,
  ) as HttpsServer;
  const own = await selfSigned(domain, dueFrom(), dueTo());
  server.setSecureContext({ cert: own.chain, key: own.key });
  await once(server.listen(pebble.tlsPort, '127.0.0.1'), 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  // Looks in while the directory does.
  const seen: string[] = [];
  const looked = Promise.withResolvers<void>();
  const watched: Challenges = {
    get onAlpn() {
      return challenges.onAlpn;
    },
    set onAlpn(onAlpn: ((socket: Socket) => void) | undefined) {
      challenges.onAlpn = onAlpn;
      if (onAlpn !== undefined && seen.length === 0) look().then(looked.resolve, looked.reject);
    },
  };
  const look = async () => {
    for (const protocol of ['acme-tls/1', 'http/1.1']) {
      seen.push(protocol);
      const socket = connect({
        host: '127.0.0.1',
        port: pebble.tlsPort,
        servername: domain,
        ALPNProtocols: [protocol],
        rejectUnauthorized: false,
      });
      t.after(() => socket.destroy());
      await once(socket, 'secureConnect');
      const isOwn = socket.getPeerX509Certificate()?.serialNumber === serialOf(own);
      assert.deepEqual([socket.alpnProtocol, isOwn], [protocol, protocol === 'http/1.1']);
      socket.on('error', () => {});
      socket.write(`GET / HTTP/1.1\r\nHost: ${domain}\r\nConnection: close\r\n\r\n`);
      await once(socket.resume(), 'close');
    }
  };
  await open(t, pebble, { challenges: watched, config: { challenge: 'tls-alpn-01' } });
  await looked.promise;
  assert.equal(requests, 1);
  assert.equal(challenges.onAlpn, undefined);
});
