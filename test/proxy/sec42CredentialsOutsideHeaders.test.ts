// SEC-42, SEC-62: keys in queries end in logs; keys in bodies end at the upstream. Neither is read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

test('a key in the query or in the path is no credential', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const { key, password } = team.adam;
  for (const name of ['api-key', 'api_key', 'apikey', 'key', 'token', 'access_token', 'authorization']) {
    assert.equal((await guard.call({ path: `/api/tags?${name}=${key}` })).status, 401, name);
  }
  assert.equal((await guard.call({ path: `/${key}/api/tags` })).status, 401);
  assert.equal((await guard.call({ path: `/adam:${password}@/api/tags` })).status, 401);
  assert.equal(upstream.connections, 0);
});

test('a key in the body is no credential', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const body = JSON.stringify({ apiKey: team.adam.key, api_key: team.adam.key, authorization: team.adam.bearer });
  for (const path of ['/api/chat', '/v1/chat/completions', '/v1/messages']) {
    assert.equal((await guard.call({ method: 'POST', path, body })).status, 401, path);
  }
  const form = `api_key=${team.adam.key}`;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  assert.equal((await guard.call({ method: 'POST', path: '/api/chat', headers, body: form })).status, 401);
  assert.equal(upstream.connections, 0);
});

test('no event holds a query, a body or a credential', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const { key, password, bearer } = team.mia;
  await guard.call({ path: `/api/tags?k=${key}`, headers: { authorization: bearer } });
  await guard.call({ path: `/${password}%00`, headers: { authorization: bearer } });
  await guard.call({ headers: { authorization: `Basic ${Buffer.from(`${password}:x`).toString('base64')}` } });
  await guard.call({ headers: { authorization: `${bearer}x` } });
  await guard.event('sign-in-failed');
  const text = JSON.stringify(guard.events);
  assert.ok(guard.events.length >= 4);
  assert.ok(!text.includes(key) && !text.includes(password), text);
});
