// CVE-2024-28224 and SEC-12: a web page rebinds its name to 127.0.0.1 and calls with its own Host. The guard rewrites
// Host on the way to Ollama, so Ollama's own check no longer helps.
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const headers = { authorization: team.mia.bearer };

test('SEC-11: a foreign Host is refused, good credentials or not', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { allowedHosts: ['gpu.example.org'] } });
  const foreign = [
    'evil.example',
    `evil.example:${guard.port}`,
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil-localhost',
    'sub.gpu.example.org',
    'gpu.example.org.evil.example',
    'anything.local',
    'anything.localhost',
    'anything.internal',
    '0.0.0.0',
    '127.1',
    '2130706433',
    '0x7f000001',
    '8.8.8.8',
    '[2001:db8::1]',
    '[::]',
  ];
  for (const host of foreign) {
    const response = await guard.call({ headers: { ...headers, host } });
    assert.equal(response.status, 403, host);
    assert.equal(response.headers['www-authenticate'], undefined, 'no browser asks for a password');
  }
  assert.equal((await guard.call({ headers: { host: 'evil.example' } })).status, 403, 'before the sign-in');
  for (const path of ['/', '/_guard/health', '/nowhere']) {
    const method = path === '/' ? 'HEAD' : 'GET';
    assert.equal((await guard.call({ method, path, headers: { host: 'evil.example' } })).status, 403, path);
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-11: own names, own addresses and configured names pass', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { allowedHosts: ['gpu.example.org'] } });
  const own = [
    'localhost',
    `LOCALHOST:${guard.port}`,
    '127.0.0.1',
    '127.0.0.53:80',
    '[::1]',
    `[0:0:0:0:0:0:0:1]:${guard.port}`,
    '[::ffff:127.0.0.1]',
    hostname(),
    `${hostname().toUpperCase()}:1`,
    `${hostname().replace(/\.local$/, '')}.local`,
    'gpu.example.org',
    'GPU.example.org:443',
  ];
  for (const host of own) assert.equal((await guard.call({ headers: { ...headers, host } })).status, 200, host);
});

test('SEC-12: Ollama sees its own address as Host', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  await guard.call({ headers: { ...headers, host: 'localhost' } });
  assert.equal(upstream.requests[0]?.headers.host, `127.0.0.1:${upstream.port}`);
});
