/** What an issuer is asked over HTTP, and which answers count. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { discoveryUrl, loadKeys } from '../../../src/guard/identity/discovery.ts';
import type { TokenIssuer } from '../../../src/guard/policy/policyDocument.ts';
import { selfSigned } from '../../support/selfSigned.ts';
import { signingKey } from '../../support/tokens.ts';

const { jwk } = await signingKey('k1');
const open = new AbortController().signal;

type Handler = (req: IncomingMessage, res: ServerResponse, base: string) => void;

const json = (res: ServerResponse, value: unknown) =>
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));

/** What a provider answers at `/realms/team`. */
const good: Readonly<Record<string, Handler>> = {
  '/realms/team/.well-known/openid-configuration': (_req, res, base) =>
    json(res, { issuer: `${base}/realms/team`, jwks_uri: `${base}/keys` }),
  '/keys': (_req, res) => json(res, { keys: [jwk] }),
};

/** Starts a provider, and gives what it was asked and how an issuer there is configured. */
async function startProvider(t: TestContext, handlers: Readonly<Record<string, Handler>> = {}) {
  const asked: string[] = [];
  const server = createServer((req, res) => {
    asked.push(`${req.method} ${req.url}`);
    const handler = { ...good, ...handlers }[req.url ?? ''];
    if (handler === undefined) res.writeHead(404).end();
    else handler(req, res, base);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer: TokenIssuer = { issuer: `${base}/realms/team`, audience: ['ollama'] };
  return { base, asked, issuer };
}

test('the discovery document is below the issuer, whatever its path', () => {
  const path = '/.well-known/openid-configuration';
  assert.equal(discoveryUrl('https://a.example'), `https://a.example${path}`);
  assert.equal(discoveryUrl('https://a.example/'), `https://a.example${path}`);
  assert.equal(discoveryUrl('https://a.example/realms/team'), `https://a.example/realms/team${path}`);
});

test('keys are where the discovery document says', async (t) => {
  const { issuer, asked } = await startProvider(t);
  assert.deepEqual(await loadKeys(issuer, open), { keys: [jwk] });
  assert.deepEqual(asked, ['GET /realms/team/.well-known/openid-configuration', 'GET /keys']);
});

test('a configured address of keys is asked and nothing else', async (t) => {
  const { issuer, asked, base } = await startProvider(t);
  assert.deepEqual(await loadKeys({ ...issuer, jwksUri: `${base}/keys` }, open), { keys: [jwk] });
  assert.deepEqual(asked, ['GET /keys']);
});

test('an issuer is asked without a credential', async (t) => {
  let seen: IncomingMessage['headers'] = {};
  const { issuer } = await startProvider(t, {
    '/keys': (req, res) => {
      seen = req.headers;
      json(res, { keys: [] });
    },
  });
  await loadKeys(issuer, open);
  assert.deepEqual(Object.keys(seen).sort(), ['accept', 'connection', 'host']);
});

test('keys that do not verify are left out: secret, private, for encryption, unknown', async (t) => {
  const keys = [
    { kty: 'oct', k: 'c2VjcmV0', kid: 'k1', alg: 'HS256' },
    { ...jwk, kid: 'private', d: 'AA' },
    { ...jwk, kid: 'encryption', use: 'enc' },
    { kty: 'new', kid: 'unknown' },
    'text',
    null,
    jwk,
  ];
  const { issuer } = await startProvider(t, { '/keys': (_req, res) => json(res, { keys }) });
  assert.deepEqual(await loadKeys(issuer, open), { keys: [jwk] });
});

const document = '/realms/team/.well-known/openid-configuration';
const redirect: Handler = (_req, res, base) => res.writeHead(302, { location: `${base}/elsewhere` }).end();
const named = (change: (base: string) => object): Handler => {
  return (_req, res, base) => json(res, { issuer: `${base}/realms/team`, jwks_uri: `${base}/keys`, ...change(base) });
};

/** What a provider may answer that does not count, and what is told of it. */
const wrong: Readonly<Record<string, readonly [path: string, handler: Handler, problem: string]>> = {
  'a redirect of the discovery document': [document, redirect, 'HTTP 302'],
  'a redirect of the keys': ['/keys', redirect, 'HTTP 302'],
  'another issuer': [document, named((base) => ({ issuer: base })), 'the discovery document is of another issuer'],
  'an issuer with a slash more': [
    document,
    named((base) => ({ issuer: `${base}/realms/team/` })),
    'the discovery document is of another issuer',
  ],
  'no issuer': [document, named(() => ({ issuer: undefined })), 'no discovery document is there'],
  'no address of keys': [document, named(() => ({ jwks_uri: undefined })), 'no discovery document is there'],
  'keys over plain HTTP': [
    document,
    named(() => ({ jwks_uri: 'http://192.0.2.1/keys' })),
    'jwks_uri is no https address',
  ],
  'keys in a file': [document, named(() => ({ jwks_uri: 'file:///etc/passwd' })), 'jwks_uri is no https address'],
  'an address of keys that is none': [document, named(() => ({ jwks_uri: '/keys' })), 'jwks_uri is no https address'],
  'a page': [document, (_req, res) => res.writeHead(200).end('<html>'), 'no discovery document is there'],
  'an error': ['/keys', (_req, res) => res.writeHead(500).end('{"keys":[]}'), 'HTTP 500'],
  'no set of keys': ['/keys', (_req, res) => json(res, [jwk]), 'no JSON Web Key Set is there'],
  'keys that are no list': ['/keys', (_req, res) => json(res, { keys: { jwk } }), 'no JSON Web Key Set is there'],
  'more than a mebibyte': [
    '/keys',
    (_req, res) => json(res, { keys: [jwk], more: 'x'.repeat(1024 * 1024) }),
    'the answer is too long',
  ],
  'an upgrade': [
    '/keys',
    (_req, res) => res.writeHead(101, { connection: 'upgrade', upgrade: 'x' }).end(),
    'the connection was closed without an answer',
  ],
};

for (const [what, [path, handler, message]] of Object.entries(wrong)) {
  test(`does not count: ${what}`, async (t) => {
    const { issuer, asked } = await startProvider(t, { [path]: handler });
    await assert.rejects(loadKeys(issuer, open), { message });
    assert.ok(!asked.includes('GET /elsewhere'));
  });
}

test('half an answer does not count', async (t) => {
  const { issuer } = await startProvider(t, {
    '/keys': (_req, res) => {
      res.writeHead(200, { 'content-length': 100 });
      res.write('{"keys":[]}');
      setImmediate(() => res.destroy());
    },
  });
  await assert.rejects(loadKeys(issuer, open), { code: 'ECONNRESET' });
});

/** An issuer over TLS whose document names keys that this computer serves in clear. */
async function startTlsIssuer(t: TestContext) {
  const { base } = await startProvider(t);
  const { chain, key } = await selfSigned('localhost', Date.now() - 60_000, Date.now() + 60_000);
  const server = createTlsServer({ cert: chain, key }, (_req, res) => json(res, { issuer, jwks_uri: `${base}/keys` }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
  return { chain, config: { issuer, audience: ['ollama'] } };
}

test('an issuer over TLS names no keys that come in clear, also not on this computer', async (t) => {
  const { chain, config } = await startTlsIssuer(t);
  const before = getCACertificates('default');
  t.after(() => setDefaultCACertificates(before));
  setDefaultCACertificates([...before, chain]);
  await assert.rejects(loadKeys(config, open), { message: 'jwks_uri is no https address' });
});

test('the certificate of an issuer is looked at, whatever the environment says', async (t) => {
  const { config } = await startTlsIssuer(t);
  t.after(() => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  });
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  await assert.rejects(loadKeys(config, open), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
});

test('nobody waits for an issuer after the verifier was closed', async (t) => {
  const reached = Promise.withResolvers<void>();
  const { issuer } = await startProvider(t, { '/keys': () => reached.resolve() });
  const closed = new AbortController();
  const keys = loadKeys(issuer, closed.signal);
  await reached.promise;
  closed.abort();
  await assert.rejects(keys, { name: 'AbortError' });
});

test('an issuer that does not answer is given up', async (t) => {
  const reached = Promise.withResolvers<void>();
  const { issuer } = await startProvider(t, {
    '/keys': (_req, res) => {
      // An answer that begins and never ends.
      res.writeHead(200).write('{');
      reached.resolve();
    },
  });
  const elapsed = new AbortController();
  const limits: number[] = [];
  t.mock.method(AbortSignal, 'timeout', (ms: number) => {
    limits.push(ms);
    return elapsed.signal;
  });
  const keys = loadKeys(issuer, open);
  await reached.promise;
  elapsed.abort();
  await assert.rejects(keys, { message: 'no answer within 5 s' });
  assert.deepEqual(limits, [5_000]);
});
