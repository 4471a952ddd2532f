// SEC-28, SEC-40, SEC-41, SEC-51, SEC-52: what Ollama gets, ollama.com gets for cloud models.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const secrets = [team.mia.password, team.mia.key, team.mia.basic.slice('Basic '.length)];

/** Ways to say a credential or an identity that some server or other understands. */
const aliases = [
  'Proxy-Authorization',
  'Cookie',
  'X_API_Key',
  'x.api.key',
  'X-Api_Key',
  'Authorization_',
  'X-Authorization',
  'HTTP_AUTHORIZATION',
  'x_forwarded_for',
  'X.Forwarded.For',
  'X-Forwarded-User',
  'X_Forwarded_User',
  'X.Authenticated.User',
  'Remote-User',
  'X-User-ID',
  'X-Ollama-User',
  'Api-Key',
  'X-Goog-Api-Key',
  'Origin-Trial',
  'Referer',
  'Sec-Fetch-Site-X',
  'X-Stainless-Retry-Count',
  'X-Anything',
];

const credentials = {
  'a password': { authorization: team.mia.basic },
  'a key as Bearer': { authorization: team.mia.bearer },
  'a key as password': { authorization: `Basic ${Buffer.from(`mia:${team.mia.key}`).toString('base64')}` },
  'a key as x-api-key': { 'x-api-key': team.mia.key },
  'a key beside a dummy': { authorization: 'Bearer ollama', 'x-api-key': team.mia.key },
  'a key beside a password': { authorization: team.mia.basic, 'x-api-key': team.mia.key },
} as const;

for (const [what, credential] of Object.entries(credentials)) {
  test(`SEC-40: Ollama never sees ${what}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    for (const [method, path] of [
      ['GET', '/api/tags'],
      ['POST', '/api/chat'],
      ['POST', '/v1/chat/completions'],
      ['POST', '/v1/messages'],
    ] as const) {
      const extra = method === 'POST' ? { body: '{"model":"demo"}' } : {};
      const lines = aliases.map((name) => `${name}: ${team.mia.key} ${team.mia.password}`);
      const response = await guard.call({ method, path: `${path}?ts=1`, headers: credential, lines, ...extra });
      assert.equal(response.status, 200);
    }
    for (const request of upstream.requests) {
      const wire = `${request.startLine}\n${request.rawHeaders.flat().join('\n')}\n${request.text}`;
      for (const secret of secrets) assert.ok(!wire.includes(secret), wire);
    }
  });
}

test('SEC-41: of all headers only those on the list reach Ollama, once each', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const listed = {
    accept: 'application/json',
    'content-type': 'application/json',
    'user-agent': 'test/1',
    'anthropic-version': '2023-06-01',
    'anthropic-beta': 'x',
  };
  const lines = aliases.map((name) => `${name}: x`);
  const headers = { authorization: team.adam.bearer, ...listed };
  // A body that was checked, and one that flows by.
  for (const path of ['/v1/messages', `/api/blobs/sha256:${'0'.repeat(64)}`]) {
    await guard.call({ method: 'POST', path, headers, lines, body: '{"model":"demo"}' });
    const sent = upstream.requests
      .at(-1)
      ?.rawHeaders.map(([name]) => name.toLowerCase())
      .toSorted();
    assert.deepEqual(sent, [...Object.keys(listed), 'connection', 'content-length', 'host'].toSorted(), path);
  }
  assert.equal(upstream.requests.length, 2);
});

test('SEC-14: a configured page reaches Ollama without its Origin and Referer', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { allowedOrigins: ['https://chat.example.org'] } });
  const headers = { authorization: team.mia.bearer, origin: 'https://chat.example.org', referer: 'https://x/' };
  assert.equal((await guard.call({ headers })).status, 200);
  assert.equal(upstream.requests[0]?.headers.origin, undefined);
  assert.equal(upstream.requests[0]?.headers.referer, undefined);
});

test('SEC-52: who a request is from follows from the credential alone', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const claims = { 'x-user-id': 'adam', 'x-forwarded-user': 'adam', 'remote-user': 'adam', 'x-role': 'admin' };
  const headers = { authorization: team.mia.bearer, ...claims };
  assert.equal(
    (await guard.call({ method: 'POST', path: '/api/pull', headers, body: '{"model":"demo"}' })).status,
    403,
  );
  assert.equal((await guard.call({ headers: claims })).status, 401);
});

test('SEC-27: a User-Agent opens nothing', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const agent of [
    'kube-probe/1.29',
    'GoogleHC/1.0',
    'ollama/0.33.0 (amd64 linux) Go/go1.26',
    'ELB-HealthChecker/2.0',
  ]) {
    // The ollama command line is refused in a status whose words it shows.
    const status = agent.startsWith('ollama/') ? 403 : 401;
    assert.equal((await guard.call({ headers: { 'user-agent': agent } })).status, status, agent);
  }
  assert.equal(upstream.connections, 0);
});
