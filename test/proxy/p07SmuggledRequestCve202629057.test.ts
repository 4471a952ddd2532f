// CVE-2026-29057, https://github.com/http-party/node-http-proxy/issues/1721: the body of a chunked DELETE or OPTIONS is
// sent behind `content-length: 0`, and with a kept-alive connection Ollama executes it as a request.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const payload = 'GET /api/smuggled HTTP/1.1\r\nHost: x\r\n\r\n';

for (const connection of upstreamConnections) {
  for (const method of ['DELETE', 'OPTIONS', 'GET', 'HEAD', 'POST', 'PATCH', 'SEARCH']) {
    for (const path of ['/api/delete', '/api/tags', '/api/chat', '/']) {
      test(`P7: a request inside a chunked ${method} ${path} stays a body (${connection} connection)`, async (t) => {
        const upstream = await startFakeOllama(t);
        const guard = await startGuard(t, upstream);
        const before = await warm(guard, upstream, connection);
        const client = await RawClient.open(t, guard.port);
        const headers = { authorization: team.adam.bearer, 'transfer-encoding': 'chunked' };
        client.send({ method, path, headers });
        client.send(Buffer.concat([chunk(payload), Buffer.from('0\r\n\r\n')]));
        await client.response({ head: method === 'HEAD' });
        // One more exchange over the same connection to Ollama would bring a smuggled request to light.
        await guard.call({ path: '/api/ps', headers: { authorization: team.adam.bearer } });

        const seen = upstream.requests.slice(before);
        assert.ok(!upstream.seen.some((line) => line.includes('smuggled')), upstream.seen.join());
        assert.equal(seen.at(-1)?.target, '/api/ps');
        assert.deepEqual(
          seen.slice(0, -1).map(({ text }) => text),
          seen.length === 2 ? [payload] : [],
        );
      });
    }
  }
}

test('P7: a chunked OPTIONS, even of a configured origin, is refused by the guard', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { allowedOrigins: ['https://chat.example.org'] } });
  const client = await RawClient.open(t, guard.port);
  client.send({
    method: 'OPTIONS',
    path: '/api/delete',
    headers: {
      origin: 'https://chat.example.org',
      'access-control-request-method': 'DELETE',
      'transfer-encoding': 'chunked',
    },
  });
  client.send(Buffer.concat([chunk(payload), Buffer.from('0\r\n\r\n')]));
  assert.equal((await client.response()).status, 400);
  assert.equal(upstream.connections, 0);
});
