// SEC-15: Caddy answers an empty 200 when no rule matches. Here whatever no rule says yes to is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

test('SEC-15, SEC-21: what is on no list is 404 for a user, 401 for anybody, and never forwarded', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { allowedHosts: ['gpu.example.org'] } });
  const unknown = [
    '/api',
    '/api/',
    '/api/tags/',
    '/API/tags',
    '/v1',
    '/v2/models',
    '/health',
    '/metrics',
    '/debug/pprof',
  ];
  const inner = [
    '/_guard',
    '/_guard/',
    '/_guard/health/',
    '/_guard/users',
    '/index.html',
    '/api/web_search',
    '/favicon.ico',
  ];
  for (const path of [...unknown, ...inner]) {
    for (const method of ['GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND']) {
      const headers = { authorization: team.adam.bearer, host: 'gpu.example.org' };
      assert.equal((await guard.call({ method, path, headers })).status, 404, `${method} ${path}`);
      assert.equal((await guard.call({ method, path })).status, 401, `${method} ${path}`);
    }
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-15: a method that a path does not take is 405 and names those it does', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const headers = { authorization: team.adam.bearer };
  const response = await guard.call({ method: 'PUT', path: '/api/tags', headers });
  assert.equal(response.status, 405);
  assert.equal(response.headers.allow, 'GET, HEAD');
  assert.equal(upstream.connections, 0);
});
