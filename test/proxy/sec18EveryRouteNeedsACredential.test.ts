// SEC-3, SEC-4, SEC-16, SEC-18, SEC-19, SEC-23: others guard `/v1` and not `/api`, or leave out health checks, lists,
// new routes. Here one gate stands before all routes, for every method.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routes } from '../../src/guard/routes.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { RawClient } from '../support/rawClient.ts';

/** A path for every row of the table, also for those that are patterns. */
const paths = new Set([
  ...routes.flatMap(({ path }) => (typeof path === 'string' ? [path] : [])),
  '/v1/models/llama3.2:3b',
  `/api/blobs/sha256:${'0'.repeat(64)}`,
  '/api/user/keys/abc',
]);
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

test('without a credential every method on every path is 401 with a challenge', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const client = await RawClient.open(t, guard.port);
  for (const path of paths) {
    for (const method of methods) {
      if (method === 'HEAD' && path === '/') continue;
      client.send({ method, path });
      const response = await client.response({ head: method === 'HEAD' });
      assert.equal(response.status, 401, `${method} ${path}`);
      assert.equal(response.headers['www-authenticate'], 'Basic realm="Ollama Guard", charset="UTF-8"');
      assert.doesNotMatch(response.text, /is running|version/i);
    }
  }
  assert.equal(upstream.connections, 0);
});

test('the heartbeat of the ollama command is answered by the guard, alike for everyone', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const answers = [];
  for (const headers of [{}, { authorization: 'Bearer wrong' }]) {
    for (const path of ['/', '/?ts=1760000000']) {
      const { status, headers: answered } = await guard.call({ method: 'HEAD', path, headers });
      answers.push([status, Object.keys(answered).toSorted().join()]);
    }
  }
  assert.deepEqual(new Set(answers.map(String)).size, 1);
  assert.equal(answers[0]?.[0], 200);
  assert.equal(upstream.connections, 0);
});

test("the guard's health is public, says no more than that, and is no other path", async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const { status, text } = await guard.call({ path: '/_guard/health' });
  assert.deepEqual([status, text], [200, '{"status":"ok"}']);
  assert.equal((await guard.call({ method: 'POST', path: '/_guard/health' })).status, 401);
  assert.equal((await guard.call({ path: '/_guard/healthz' })).status, 401);
  assert.equal(upstream.connections, 0);
});
