// https://github.com/http-party/node-http-proxy/issues/1219 #1328: `Expect` skips `proxyReq`, and headers leak.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asSent, blobPath, bodies } from '../support/bodies.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

for (const connection of upstreamConnections) {
  for (const [kind, { person, headers: own, body, ...request }] of Object.entries(bodies)) {
    test(`P5: Expect does not carry the credential to Ollama: ${kind} (${connection} connection)`, async (t) => {
      const upstream = await startFakeOllama(t);
      const guard = await startGuard(t, upstream);
      const before = await warm(guard, upstream, connection);
      const client = await RawClient.open(t, guard.port);
      const headers = {
        ...own,
        authorization: person.basic,
        'x-api-key': person.key,
        expect: '100-continue',
        'content-length': `${body.length}`,
      };
      client.send({ ...request, headers });

      assert.equal((await client.response()).status, 100);
      client.send(body);
      assert.equal((await client.response()).status, 200);

      const received = (await upstream.reply(before)).request;
      assert.equal(asSent(received.text), body);
      for (const name of ['authorization', 'x-api-key', 'expect']) {
        assert.equal(received.headers[name], undefined, name);
      }
    });
  }
}

for (const [kind, { person, headers: own, body, ...request }] of Object.entries(bodies)) {
  test(`P5: 100 Continue waits for the sign-in: ${kind}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const compare = Promise.withResolvers<boolean>();
    const guard = await startGuard(t, upstream, { comparePassword: () => compare.promise });
    const client = await RawClient.open(t, guard.port);
    const headers = { ...own, authorization: person.basic, expect: '100-continue', 'content-length': `${body.length}` };
    client.send({ ...request, headers });
    // A second connection that is answered shows that the guard has had its time with the first.
    await guard.call({ path: '/_guard/health' });
    assert.equal(client.pending, '');

    compare.resolve(true);

    assert.equal((await client.response()).status, 100);
  });
}

test('P5: a request that is refused is not told to continue', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const cases = [
    [401, '/api/chat', 'Bearer wrong'],
    [403, '/api/pull', team.mia.bearer],
    [403, blobPath, team.mia.bearer],
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

for (const [kind, { headers, ...request }] of Object.entries(bodies)) {
  test(`P5: a client of HTTP/1.0 gets no 100 Continue, which it would take for the answer: ${kind}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    const expecting = { ...headers, expect: '100-continue' };
    assert.equal((await guard.call({ ...request, version: '1.0', headers: expecting })).status, 200);
  });
}
