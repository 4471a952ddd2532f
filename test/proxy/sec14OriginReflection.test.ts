// SEC-14: proxies that reflect any Origin, or send `*`, let every web page use the credentials a browser has cached.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const allowed = 'https://chat.example.org';
const config = { allowedOrigins: [allowed] };
const good = { authorization: team.mia.basic };
const cors = (headers: Readonly<Record<string, string>>) =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'));

test('SEC-14: a foreign Origin is 403 with good credentials, and gets no CORS header', async (t) => {
  const upstream = await startFakeOllama(t, (reply) =>
    reply.raw('HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\n{}'),
  );
  const guard = await startGuard(t, upstream, { config });
  const foreign = [
    'https://evil.example',
    'null',
    'http://chat.example.org',
    'https://chat.example.org:8443',
    'https://chat.example.org.evil.example',
    'https://CHAT.example.org',
    'https://chat.example.org/',
    `http://127.0.0.1:${guard.port}`,
    'http://localhost',
    'file://',
    '',
  ];
  for (const origin of foreign) {
    const response = await guard.call({ headers: { ...good, origin } });
    assert.equal(response.status, 403, origin);
    assert.deepEqual(cors(response.headers), [], origin);
  }
  assert.equal(upstream.connections, 0);
  assert.equal(guard.compares.length, 0, 'the Origin is judged before the credential');
});

test('SEC-14: a page that calls without an Origin is told by Sec-Fetch-Site', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config });
  for (const site of ['cross-site', 'same-site', 'something-new', 'none, cross-site']) {
    assert.equal((await guard.call({ headers: { ...good, 'sec-fetch-site': site } })).status, 403, site);
  }
  for (const site of ['none', 'same-origin']) {
    assert.equal((await guard.call({ headers: { ...good, 'sec-fetch-site': site } })).status, 200, site);
  }
});

test('SEC-14: a configured origin passes and gets exactly its own name, without credentials mode', async (t) => {
  const upstream = await startFakeOllama(t, (reply) =>
    reply.raw(
      'HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n' +
        'Vary: Accept-Encoding\r\nContent-Length: 13\r\n\r\n{"models":[]}',
    ),
  );
  const guard = await startGuard(t, upstream, { config });
  const headers = { ...good, origin: allowed, 'sec-fetch-site': 'cross-site' };
  // An answer that flows by, a list that is written anew, and the answer to a body that was checked.
  for (const request of [
    { path: '/api/version' },
    { path: '/api/tags' },
    { method: 'POST', path: '/api/chat', body: '{"model":"demo"}' },
  ]) {
    const response = await guard.call({ ...request, headers });
    assert.equal(response.status, 200, request.path);
    assert.equal(response.headers['access-control-allow-origin'], allowed, request.path);
    assert.equal(response.headers['access-control-allow-credentials'], undefined, request.path);
    assert.equal(response.headers.vary?.toLowerCase(), 'origin', request.path);
  }
});

test('SEC-14: a configured origin may read why it was refused, and is not let in for its origin', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config });
  const response = await guard.call({ headers: { origin: allowed } });
  assert.equal(response.status, 401);
  assert.equal(response.headers['access-control-allow-origin'], allowed);
  assert.equal(upstream.connections, 0);
});

test('SEC-14: the guard answers preflights itself, for configured origins alone', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config });
  const asked = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization, content-type, x-stainless-os, x-evil, cookie',
  };
  const preflight = await guard.call({ method: 'OPTIONS', path: '/api/chat', headers: { origin: allowed, ...asked } });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], allowed);
  assert.equal(preflight.headers['access-control-allow-headers'], 'authorization, content-type, x-stainless-os');
  assert.equal(preflight.headers['access-control-allow-credentials'], undefined);

  const headers = { origin: 'https://evil.example', ...asked };
  const foreign = await guard.call({ method: 'OPTIONS', path: '/api/chat', headers });
  assert.equal(foreign.status, 403);
  assert.deepEqual(cors(foreign.headers), []);
  const plain = await guard.call({ method: 'OPTIONS', path: '/api/chat', headers: { origin: allowed } });
  assert.equal(plain.status, 401, 'an OPTIONS that is no preflight is a request like any other');
  assert.equal(upstream.connections, 0);
});

test('a page of a configured origin reads the limits and clamps of its answers', async (t) => {
  const clamps = { outputTokens: 5 };
  const roles = { member: { clamps, limits: { requestsPerMinute: 9, tokensPerDay: 1_000_000 } } };
  const guard = await startGuard(t, await startFakeOllama(t), { config: { ...config, policy: { roles } } });
  const body = '{"model":"demo","prompt":"hi","options":{"num_predict":50}}';
  const { headers } = await guard.call({
    method: 'POST',
    path: '/api/generate',
    headers: { ...good, origin: allowed },
    body,
  });
  const told = Object.keys(headers).filter((name) => /^(ratelimit|ollama-guard)-/.test(name));
  assert.equal(told.length, 5);
  const readable = headers['access-control-expose-headers']?.split(', ') ?? [];
  assert.deepEqual(
    told.filter((name) => !readable.includes(name)),
    [],
  );
});
