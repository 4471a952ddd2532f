/** The guard's own pages are for everyone, load nothing from elsewhere, and tell nothing. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient, requestBytes } from '../support/rawClient.ts';

const down = 'http://127.0.0.1:1';
const folder = join(import.meta.dirname, '..', '..', 'src', 'guard', 'join');
const pages = {
  '/_guard/join': ['join.html', 'text/html; charset=utf-8'],
  '/_guard/join.css': ['join.css', 'text/css; charset=utf-8'],
  '/_guard/join.js': ['join.js', 'text/javascript; charset=utf-8'],
} as const;
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

test('each is served without a credential, whatever credential comes along, and never forwarded', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const [path, [file, type]] of Object.entries(pages)) {
    for (const headers of [{}, { authorization: team.mia.bearer }, { authorization: 'Bearer wrong' }] as const) {
      const { status, headers: answered, body } = await guard.call({ path, headers });
      assert.equal(status, 200, path);
      assert.deepEqual(body, readFileSync(join(folder, file)), path);
      assert.equal(answered['content-type'], type, path);
      assert.equal(answered['content-security-policy'], policy, path);
      assert.equal(answered['cache-control'], 'no-store', path);
      assert.equal(answered['referrer-policy'], 'no-referrer', path);
      assert.equal(answered['x-content-type-options'], 'nosniff', path);
      assert.equal(answered['x-frame-options'], 'DENY', path);
      assert.equal(answered['cross-origin-opener-policy'], 'same-origin', path);
      assert.equal(answered['cross-origin-resource-policy'], 'same-origin', path);
      assert.match(answered['permissions-policy'] ?? '', /camera=\(\)/, path);
      assert.equal(answered['access-control-allow-origin'], undefined, path);
      assert.equal(answered['set-cookie'], undefined, path);
    }
    const head = await guard.call({ method: 'HEAD', path });
    assert.deepEqual([head.status, head.body.length], [200, 0], path);
    assert.equal(head.headers['content-length'], String(readFileSync(join(folder, file)).length), path);
  }
  assert.equal(upstream.connections, 0);
  assert.equal(guard.compares.length, 0);
});

test('every file of the page is served, and nothing else of its folder', async (t) => {
  const guard = await startGuard(t, down);
  const files = readdirSync(folder).filter((file) => !/\.ts$|^tsconfig/.test(file));
  assert.deepEqual(
    files.sort(),
    Object.values(pages)
      .map(([file]) => file)
      .sort(),
  );
  for (const file of readdirSync(folder)) {
    if (`/_guard/${file}` in pages) continue;
    for (const path of [`/_guard/${file}`, `/_guard/join/${file}`]) {
      assert.equal((await guard.call({ path })).status, 401, path);
    }
  }
});

test('they take the methods they need, and no body', async (t) => {
  const guard = await startGuard(t, down);
  for (const path of [...Object.keys(pages), '/_guard/ca.pem']) {
    const allowed = path === '/_guard/join' ? 'GET, HEAD, POST' : 'GET, HEAD';
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', ...(path === '/_guard/join' ? [] : ['POST'])]) {
      const { status, headers } = await guard.call({ method, path });
      assert.deepEqual([status, headers.allow], [405, allowed], `${method} ${path}`);
    }
    assert.equal((await guard.call({ path, body: 'x' })).status, 400, path);
  }
});

test('a link to it can be followed from anywhere, but no other page can show or read it', async (t) => {
  const guard = await startGuard(t, down, { config: { allowedOrigins: ['https://chat.example.org'] } });
  const followed = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
  const path = '/_guard/join';
  assert.equal((await guard.call({ path, headers: followed })).status, 200);
  for (const headers of [
    { ...followed, 'sec-fetch-dest': 'iframe' },
    { ...followed, 'sec-fetch-dest': 'embed' },
    { ...followed, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' },
    { ...followed, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' },
    { ...followed, origin: 'https://evil.example' },
    { ...followed, origin: 'null' },
  ]) {
    assert.equal((await guard.call({ path, headers })).status, 403, JSON.stringify(headers));
  }
  // Nothing else may be navigated to.
  for (const other of ['/_guard/join.js', '/api/tags', '/_guard/health', '/']) {
    assert.equal((await guard.call({ path: other, headers: followed })).status, 403, other);
  }
  assert.equal((await guard.call({ path, headers: { ...followed, host: 'evil.example' } })).status, 403);
});

test('what a link holds behind its ? is not logged, and nobody sees what was behind its #', async (t) => {
  const guard = await startGuard(t, down);
  await guard.call({ path: `/_guard/join?${team.mia.key}` });
  await guard.call({ method: 'PUT', path: `/_guard/join?${team.mia.key}` });
  assert.equal((await guard.event('request')).path, '/_guard/join');
  assert.ok(!JSON.stringify(guard.events).includes(team.mia.key));
  assert.equal((await guard.call({ path: `/_guard/join#${team.mia.key}` })).status, 400);
});

test('without encryption there is no certificate to trust', async (t) => {
  const guard = await startGuard(t, down);
  assert.equal((await guard.call({ path: '/_guard/ca.pem' })).status, 404);
});

test('with an authority of its own its certificate is to be had, also by who cannot check it yet', async (t) => {
  const guard = await startGuard(t, down, { config: { tls: { mode: 'auto' } } });
  const options = { host: '127.0.0.1', port: guard.port, rejectUnauthorized: false, agent: false };
  const req = request({ ...options, path: '/_guard/ca.pem' }).end();
  const [res] = await once(req, 'response');
  assert.equal(res.headers['content-type'], 'application/x-pem-file');
  const pem = Buffer.concat(await res.toArray()).toString();
  const certificate = new X509Certificate(pem);
  assert.equal(certificate.ca, true);
  assert.equal(certificate.fingerprint256, guard.guard.tls?.anchor?.sha256);
  assert.ok(!pem.includes('PRIVATE'));
});

test('a pipelined page and request are answered in their order', async (t) => {
  const guard = await startGuard(t, down);
  const client = await RawClient.open(t, guard.port);
  client.send(Buffer.concat([requestBytes(client.host, { path: '/_guard/join' }), requestBytes(client.host, {})]));
  assert.equal((await client.response()).headers['content-type'], 'text/html; charset=utf-8');
  assert.equal((await client.response()).status, 401);
});
