// What an ACME directory can say and do wrong, and pebble does not: a server that says it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { GuardError } from '../../../src/guard/errors.ts';
import type { Message } from '../../../src/guard/message.ts';
import { openAcme, pauseAfter, phaseOf } from '../../../src/guard/tls/acme.ts';
import { openResponder } from '../../../src/guard/tls/acmeChallenge.ts';
import type { CertificateSource } from '../../../src/guard/tls/source.ts';
import type { TlsConfigOf } from '../../../src/guard/tls/tlsConfig.ts';
import { createMemoryVault, type Vault } from '../../../src/guard/tls/vault.ts';
import { createCertificates } from '../../support/certificates.ts';
import { without } from '../../support/debian.ts';
import { freePort } from '../../support/freePort.ts';
import { selfSigned } from '../../support/selfSigned.ts';
import { Signal } from '../../support/signal.ts';

const skip = without('openssl');
const domain = 'gpu.example.test';
const minute = 60_000;
const day = 24 * 60 * minute;

interface FakeDirectory {
  readonly config: TlsConfigOf<'acme'>;
  readonly server: Server;
  readonly requests: string[];
  readonly changed: Signal;
  /** What answers, by path; what every directory answers is there already. */
  readonly answers: Record<string, RequestListener>;
}

/** An error as RFC 8555 §6.7 has it. */
const refuses =
  (type: string, detail: string, status = 400, headers = {}): RequestListener =>
  (_req, res) => {
    res.writeHead(status, { 'content-type': 'application/problem+json', 'replay-nonce': 'nonce', ...headers });
    res.end(JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail }));
  };

const json = (res: ServerResponse, status: number, body: unknown, headers = {}): void => {
  res.writeHead(status, { 'content-type': 'application/json', 'replay-nonce': 'nonce', ...headers });
  res.end(JSON.stringify(body));
};

async function startDirectory(t: TestContext, name = 'IP:127.0.0.1'): Promise<FakeDirectory> {
  const authority = createCertificates(t);
  const { certificate, key } = authority.sign(name);
  const requests: string[] = [];
  const changed = new Signal();
  const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (req, res) => {
    requests.push(`${req.method} ${req.url}`);
    (answers[req.url ?? ''] ?? refuses('malformed', 'unknown'))(req.resume(), res);
    changed.notify();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const answers: FakeDirectory['answers'] = {
    '/': (_req, res) =>
      json(res, 200, { newNonce: `${origin}/nonce`, newAccount: `${origin}/account`, newOrder: `${origin}/order` }),
    '/nonce': (_req, res) => json(res, 200, undefined),
    '/account': (_req, res) => json(res, 201, { status: 'valid' }, { location: `${origin}/account/1` }),
  };
  const config: TlsConfigOf<'acme'> = {
    mode: 'acme',
    domain,
    email: 'owner@example.org',
    directory: `${origin}/`,
    directoryCa: authority.caFile,
    challenge: 'tls-alpn-01',
    httpPort: 80,
  };
  return { config, server, requests, answers, changed };
}

interface Opened {
  readonly source: CertificateSource;
  readonly problems: Signal & { readonly list: (Message | undefined)[] };
}

async function open(
  t: TestContext,
  config: TlsConfigOf<'acme'>,
  vault: Vault = createMemoryVault(),
  now: () => number = Date.now,
): Promise<Opened> {
  const problems = Object.assign(new Signal(), { list: [] as (Message | undefined)[] });
  const source = await openAcme(config, {
    vault,
    allowedHosts: [],
    challenges: { onAlpn: undefined },
    onCertificate: () => {},
    onProblem: (problem) => {
      problems.list.push(problem);
      problems.notify();
    },
    now,
  });
  t.after(() => source.close());
  return { source, problems };
}

async function refusalOf(t: TestContext, config: TlsConfigOf<'acme'>, now?: () => number): Promise<string> {
  const error: unknown = await open(t, config, undefined, now).then(
    () => undefined,
    (reason) => reason,
  );
  assert.ok(GuardError.is(error, 'certificate-unavailable'), String(error));
  return error.message;
}

/** A vault with a certificate that is to be renewed. */
async function vaultWithDue({ directory }: TlsConfigOf<'acme'>): Promise<Vault> {
  const vault = createMemoryVault();
  const certificate = await selfSigned(domain, Date.now() - 80 * day, Date.now() + 5 * day);
  await vault.write('acme-certificate', JSON.stringify({ version: 1, items: [{ directory, domain, ...certificate }] }));
  return vault;
}

test('the pause after a failure doubles, from a minute or two to half a day at most', () => {
  const range = (failures: number) => [pauseAfter(failures, 1) / minute, pauseAfter(failures, 0) / minute];
  assert.deepEqual(range(1), [1, 2]);
  assert.deepEqual(range(2), [2, 4]);
  assert.deepEqual(range(8), [128, 256]);
  assert.deepEqual(range(10), [360, 720]);
  assert.deepEqual(range(5_000), [360, 720]);
});

test('a certificate is due when a third of its life is left', async () => {
  const from = Date.now();
  const certificate = await selfSigned(domain, from, from + 90 * day);
  const phase = (days: number) => phaseOf(certificate, from + days * day);
  assert.deepEqual([-1, 0, 59, 61, 89, 91].map(phase), ['early', 'fresh', 'fresh', 'due', 'due', 'over']);
  // Clocks are never quite the same.
  assert.equal(phase(-0.04), 'fresh');
});

for (const [where, kind, words] of [
  ['/account', 'invalidContact', /does not take the e-mail address owner@example\.org\. Give another one: why$/],
  ['/account', 'unsupportedContact', /does not take the e-mail address owner@example\.org\. Give another one: why$/],
  ['/account', 'externalAccountRequired', /wants an external account\. Give its id and its HMAC key\.$/],
  ['/order', 'rateLimited', /gives no more certificates for now\. Wait before trying again: why$/],
  ['/order', 'caa', /^A CAA record of gpu\.example\.test forbids/],
  ['/order', 'dns', /finds no address for gpu\.example\.test\. Make the domain lead to this computer: why$/],
  ['/order', 'rejectedIdentifier', /gives no certificates for gpu\.example\.test\. Choose another domain: why$/],
  ['/order', 'somethingNew', /gives no certificate for gpu\.example\.test: why$/],
] as const) {
  test(`${kind} is a sentence that says what to do, and is asked for once`, { skip }, async (t) => {
    const { config, answers, requests } = await startDirectory(t);
    answers[where] = refuses(kind, 'why', kind === 'rateLimited' ? 429 : 400);
    assert.match(await refusalOf(t, config), words);
    assert.equal(requests.filter((request) => request === `POST ${where}`).length, 1);
  });
}

test('a directory that fails is said to, and is asked once', { skip }, async (t) => {
  const { config, answers, requests } = await startDirectory(t);
  answers['/order'] = (_req, res) => json(res, 503, {});
  assert.match(await refusalOf(t, config), /gives no certificate for gpu\.example\.test: HTTP 503$/);
  assert.equal(requests.filter((request) => request === 'POST /order').length, 1);
});

test('a certificate for a key of somebody else is not taken', { skip }, async (t) => {
  const { config, answers } = await startDirectory(t);
  const url = (path: string) => new URL(path, config.directory).href;
  const order = { authorizations: [], finalize: url('/finalize'), certificate: url('/certificate') };
  const { chain } = await selfSigned(domain, Date.now(), Date.now() + 90 * day);
  answers['/order'] = (_req, res) => json(res, 201, { ...order, status: 'ready' }, { location: url('/order/1') });
  answers['/order/1'] = (_req, res) => json(res, 200, { ...order, status: 'valid' });
  answers['/finalize'] = answers['/order/1'];
  answers['/certificate'] = (_req, res) => res.setHeader('replay-nonce', 'nonce').end(chain);
  assert.match(
    await refusalOf(t, config),
    /gave a certificate that is not for gpu\.example\.test\. Ask whoever runs it\.$/,
  );
});

test('what a directory says is one line, and not too long', { skip }, async (t) => {
  const { config, answers } = await startDirectory(t);
  answers['/order'] = refuses('malformed', `a\r\n\x1b[31mb\u202e${'c'.repeat(1_000)}`);
  assert.match(await refusalOf(t, config), /: a \[31mb c{290,300}$/);
});

for (const [what, answer] of [
  ['a page', (_req, res) => res.end('<html></html>')],
  ['nothing there', (_req, res) => json(res, 404, {})],
  ['another place', (_req, res) => json(res, 301, undefined, { location: 'http://127.0.0.1:1/' })],
  ['other fields', (_req, res) => json(res, 200, { newNonce: 'https://127.0.0.1:1/' })],
  [
    'addresses without encryption',
    (_req, res) => json(res, 200, { newNonce: 'http://127.0.0.1:1', newAccount: 'http://a', newOrder: 'http://a' }),
  ],
] as readonly [string, RequestListener][]) {
  test(`${what} at the address of a directory is none`, { skip }, async (t) => {
    const { config, answers, requests } = await startDirectory(t);
    answers['/'] = answer;
    assert.match(await refusalOf(t, config), /^No ACME directory answers at https:\S+\. Check the address\.$/);
    assert.deepEqual(requests, ['GET /']);
  });
}

test('an answer without an end is cut off', { skip }, async (t) => {
  const { config, answers } = await startDirectory(t);
  answers['/'] = (_req, res) => {
    const more = () => {
      while (!res.destroyed && res.write(Buffer.alloc(64 * 1024, ' ')));
    };
    res.on('drain', more);
    more();
  };
  assert.match(await refusalOf(t, config), /cannot be reached \(ERR_BAD_RESPONSE\)/);
});

test('a directory that nobody vouches for gets no word', { skip }, async (t) => {
  const { config, requests } = await startDirectory(t);
  const { directoryCa: _, ...rest } = config;
  assert.match(await refusalOf(t, rest), /is from no authority that this computer trusts \(\w+\)\. Name the PEM file/);
  assert.deepEqual(requests, []);
});

test('a directory with the certificate of another gets no word', { skip }, async (t) => {
  const { config, requests } = await startDirectory(t, 'DNS:other.example.org');
  assert.match(
    await refusalOf(t, config),
    /from no authority that this computer trusts \(ERR_TLS_CERT_ALTNAME_INVALID\)/,
  );
  assert.deepEqual(requests, []);
});

test('an authority that cannot be read is said to', { skip }, async (t) => {
  const { config } = await startDirectory(t);
  const folder = dirname(config.directoryCa ?? '');
  const missing = { ...config, directoryCa: join(folder, 'missing.pem') };
  assert.match(await refusalOf(t, missing), /^The directory's authority cannot be read from \S+missing\.pem: ENOENT$/);
  const empty = { ...config, directoryCa: join(folder, 'empty.pem') };
  writeFileSync(empty.directoryCa, 'nothing');
  assert.match(await refusalOf(t, empty), /empty\.pem holds no certificate in PEM\. Name the directory's authority\.$/);
});

test('a directory that says when to come back is left alone until then', { skip }, async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { config, answers, requests, changed } = await startDirectory(t);
  answers['/order'] = refuses('rateLimited', 'later', 429, { 'retry-after': '18000' });
  let shift = 0;
  const { problems } = await open(t, config, await vaultWithDue(config), () => Date.now() + shift);
  await problems.until(() => problems.list[0]);
  const orders = () => requests.filter((request) => request === 'POST /order').length;
  assert.equal(orders(), 1);
  // The directory's clock goes along.
  for (const path of ['/', '/nonce', '/order', '/account']) {
    const answer = answers[path] as RequestListener;
    answers[path] = (req, res) => answer(req, res.setHeader('date', new Date(Date.now() + shift).toUTCString()));
  }
  shift = 299 * minute;
  t.mock.timers.tick(minute);
  // Whoever begins later has been answered by then.
  await refusalOf(t, config, () => Date.now() + shift);
  assert.equal(orders(), 2);
  shift = 301 * minute;
  t.mock.timers.tick(minute);
  await changed.until(() => orders() === 3 || undefined);
});

test('a clock that is put back does not make the pause endless', { skip }, async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { config, answers, requests, changed } = await startDirectory(t);
  answers['/'] = (_req, res) => json(res, 404, {});
  let shift = 50 * minute;
  const { problems } = await open(t, config, await vaultWithDue(config), () => Date.now() + shift);
  await problems.until(() => problems.list[0]);
  shift = 0;
  t.mock.timers.tick(minute);
  await changed.until(() => requests.length === 2 || undefined);
});

test('closing gives up what is under way, and tells nothing more', { skip }, async (t) => {
  const { config, answers, server } = await startDirectory(t);
  const asked = Promise.withResolvers<void>();
  answers['/order'] = () => asked.resolve();
  const sockets: Promise<unknown>[] = [];
  server.on('secureConnection', (socket) => sockets.push(once(socket, 'close')));
  const { source, problems } = await open(t, config, await vaultWithDue(config));
  await asked.promise;
  source.close();
  await Promise.all(sockets);
  assert.deepEqual(problems.list, []);
});

test('a port that another program has is an error before anything is asked for', { skip }, async (t) => {
  const { config, requests } = await startDirectory(t);
  const other = createTcpServer();
  await once(other.listen(0), 'listening');
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const error: unknown = await open(t, { ...config, challenge: 'http-01', httpPort: port }).catch((reason) => reason);
  assert.ok(GuardError.is(error, 'address-in-use'), String(error));
  assert.match(error.message, new RegExp(`^Port ${port}, for the http-01 challenge, is in use by another program\\.`));
  assert.deepEqual(requests, []);
});

test('http-01 answers the one path of the challenge under way', async (t) => {
  const port = await freePort();
  const config = { challenge: 'http-01', httpPort: port } as TlsConfigOf<'acme'>;
  const responder = await openResponder(config, { onAlpn: undefined });
  t.after(() => responder.close());
  const authorization = {} as Parameters<typeof responder.answer>[0];
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}/.well-known/acme-challenge/${path}`, { method });
    return `${response.status} ${await response.text()}`;
  };
  assert.equal(await ask('one'), '404 ');
  await responder.answer(authorization, 'one', 'one.thumbprint');
  assert.equal(await ask('one'), '200 one.thumbprint');
  for (const [path, method] of [['one/'], ['one?a=b'], ['../acme-challenge'], ['one', 'POST'], ['two']] as const) {
    assert.equal(await ask(path, method), '404 ');
  }
  await responder.answer(authorization, 'two', 'two.thumbprint');
  assert.deepEqual([await ask('one'), await ask('two')], ['404 ', '200 two.thumbprint']);
  const idle = connect(port, '127.0.0.1');
  await once(idle, 'connect');
  responder.close();
  await once(idle.resume(), 'close');
});

test('a proxy of the environment gets a tunnel, and the certificate is checked through it', { skip }, async (t) => {
  const { config, answers, requests } = await startDirectory(t);
  answers['/order'] = refuses('rateLimited', 'why', 429);
  const tunnels: string[] = [];
  const proxy = createHttpServer((_req, res) => res.writeHead(500).end());
  proxy.on('connect', (req, socket) => {
    tunnels.push(req.url ?? '');
    const target = new URL(`http://${req.url}`);
    const onward = connect(Number(target.port), target.hostname, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    for (const end of [socket, onward]) end.on('error', () => {});
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  const before = { ...process.env };
  t.after(() => {
    process.env = before;
    proxy.close();
    proxy.closeAllConnections();
  });
  process.env = { ...before, https_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, no_proxy: '' };
  assert.match(await refusalOf(t, config), /gives no more certificates for now/);
  assert.ok(tunnels.length > 0 && requests.length > 0);
  const { directoryCa: _, ...distrusting } = config;
  requests.length = 0;
  assert.match(await refusalOf(t, distrusting), /is from no authority that this computer trusts/);
  assert.deepEqual(requests, []);
});
