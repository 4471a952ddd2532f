import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

test('headers of more than 16 KiB are 431', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const lines of [[`X-Long: ${'x'.repeat(16 * 1024)}`], Array<string>(2_000).fill('X-Many: 12345')]) {
    assert.equal((await guard.call({ headers: { authorization: team.mia.bearer }, lines })).status, 431);
  }
  assert.equal((await guard.call({ path: `/${'x'.repeat(16 * 1024)}` })).status, 431);
  assert.equal(upstream.connections, 0);
});

test('headers of less pass, and no header drops out of sight among many', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const lines = [...Array<string>(2_500).fill('a: 1'), 'Host: evil.example'];
  assert.equal((await guard.call({ headers: { host: `127.0.0.1:${guard.port}` }, lines })).status, 400);
  const headers = { authorization: team.mia.bearer };
  assert.equal((await guard.call({ headers, lines: [`X-Long: ${'x'.repeat(15 * 1024)}`] })).status, 200);
});

test('headers that do not come in time are 408', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { headersTimeoutMs: 60 } });
  const slow = await RawClient.open(t, guard.port);
  slow.send('GET /api/tags HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ');
  assert.equal((await slow.response()).status, 408);
  await slow.closed();
});

test('a connection that says nothing at all is ended', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { headersTimeoutMs: 60 } });
  const silent = await RawClient.open(t, guard.port);
  await silent.closed();
});

test('the header time-out holds for each request of a connection', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { headersTimeoutMs: 100 } });
  const client = await RawClient.open(t, guard.port);
  client.send({ headers: { authorization: team.mia.bearer } });
  assert.equal((await client.response()).status, 200);
  client.send('GET /api/tags HTTP/1.1\r\n');
  assert.equal((await client.response()).status, 408);
});
