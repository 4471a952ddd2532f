// https://github.com/http-party/node-http-proxy/issues/1219 #1328: `Expect` skips `proxyReq`, and headers leak.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

for (const connection of upstreamConnections) {
  test(`P5: Expect does not carry the credential to Ollama (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const client = await RawClient.open(t, guard.port);
    const headers = {
      authorization: team.mia.basic,
      'x-api-key': team.mia.key,
      expect: '100-continue',
      'content-length': '16',
    };
    client.send({ method: 'POST', path: '/api/chat', headers });

    assert.equal((await client.response()).status, 100);
    client.send('{"model":"demo"}');
    assert.equal((await client.response()).status, 200);

    const { request } = await upstream.reply(before);
    assert.equal(request.text, '{"model":"demo"}');
    for (const name of ['authorization', 'x-api-key', 'expect']) assert.equal(request.headers[name], undefined, name);
  });
}

test('P5: 100 Continue waits for the sign-in', async (t) => {
  const upstream = await startFakeOllama(t);
  const compare = Promise.withResolvers<boolean>();
  const guard = await startGuard(t, upstream, { comparePassword: () => compare.promise });
  const client = await RawClient.open(t, guard.port);
  const headers = { authorization: team.mia.basic, expect: '100-continue', 'content-length': '2' };
  client.send({ method: 'POST', path: '/api/chat', headers });
  // A second connection that is answered shows that the guard has had its time with the first.
  await guard.call({ path: '/_guard/health' });
  assert.equal(client.pending, '');

  compare.resolve(true);

  assert.equal((await client.response()).status, 100);
});

test('P5: a request that is refused is not told to continue', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const cases = [
    [401, '/api/chat', 'Bearer wrong'],
    [403, '/api/pull', team.mia.bearer],
    [404, '/nowhere', team.mia.bearer],
  ] as const;
  for (const [status, path, authorization] of cases) {
    const headers = { authorization, expect: '100-continue', 'content-length': '2' };
    assert.equal((await guard.call({ method: 'POST', path, headers })).status, status);
  }
  assert.equal(upstream.connections, 0);
});

test('P5: a body that is too large is not told to continue', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { maxBodyBytes: 100 } });
  const headers = { authorization: team.mia.bearer, expect: '100-continue', 'content-length': '101' };
  assert.equal((await guard.call({ method: 'POST', path: '/api/chat', headers })).status, 413);
  assert.equal(upstream.connections, 0);
});

test('P5: an expectation that nobody knows is 417', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const headers = { authorization: team.mia.bearer, expect: 'the-unexpected' };
  assert.equal((await guard.call({ headers })).status, 417);
  assert.equal(upstream.connections, 0);
});

test('P5: a client of HTTP/1.0 gets no 100 Continue, which it would take for the answer', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const headers = { authorization: team.mia.bearer, expect: '100-continue' };
  const response = await guard.call({
    method: 'POST',
    path: '/api/chat',
    version: '1.0',
    headers,
    body: '{"model":"demo"}',
  });
  assert.equal(response.status, 200);
});
