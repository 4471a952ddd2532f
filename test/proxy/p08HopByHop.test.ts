// RFC 9110 §7.6.1: what describes one hop, and what `Connection` lists, stays on that hop.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { get } from '../support/asks.ts';
import { bodies } from '../support/bodies.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import type { RawRequest } from '../support/rawClient.ts';

const requests: Readonly<Record<string, RawRequest>> = { 'a list': get(team.mia, '/api/tags'), ...bodies };

for (const connection of upstreamConnections) {
  for (const [kind, request] of Object.entries(requests)) {
    test(`P8: hop-by-hop headers of a request stay with the guard: ${kind} (${connection} connection)`, async (t) => {
      const upstream = await startFakeOllama(t);
      const guard = await startGuard(t, upstream);
      const before = await warm(guard, upstream, connection);
      await guard.call({
        ...request,
        headers: {
          ...request.headers,
          connection: 'keep-alive, accept, x-listed',
          'keep-alive': 'timeout=5',
          te: 'trailers',
          trailer: 'x-checksum',
          upgrade: 'websocket',
          'proxy-authorization': team.mia.basic,
          'proxy-connection': 'keep-alive',
          'x-listed': 'yes',
        },
      });
      const { headers } = (await upstream.reply(before)).request;
      for (const name of [
        'keep-alive',
        'te',
        'trailer',
        'upgrade',
        'proxy-authorization',
        'proxy-connection',
        'x-listed',
      ]) {
        assert.equal(headers[name], undefined, name);
      }
      assert.equal(headers.connection, 'keep-alive', "the guard's own, for its own connection");
    });
  }
}

for (const [kind, path] of [
  ['flows by', '/api/version'],
  ['is filtered', '/api/tags'],
] as const) {
  test(`P8: hop-by-hop headers of an answer that ${kind} stay with the guard`, async (t) => {
    const upstream = await startFakeOllama(t, (reply) =>
      reply.raw(
        [
          'HTTP/1.1 200 OK',
          'Content-Length: 13',
          'Connection: close, X-Listed',
          'Keep-Alive: timeout=1',
          'Proxy-Authenticate: Basic',
          'Proxy-Connection: close',
          'Trailer: x-checksum',
          'Upgrade: h2c',
          'X-Listed: yes',
          'X-End-To-End: yes',
          '',
          '{"models":[]}',
        ].join('\r\n'),
      ),
    );
    const guard = await startGuard(t, upstream);
    const { headers, text } = await guard.call(get(team.mia, path));
    for (const name of ['proxy-authenticate', 'proxy-connection', 'trailer', 'upgrade', 'x-listed']) {
      assert.equal(headers[name], undefined, name);
    }
    assert.notEqual(headers.connection, 'close', "Ollama's connection ends, the client's goes on");
    assert.notEqual(headers['keep-alive'], 'timeout=1');
    assert.equal(headers['x-end-to-end'], 'yes');
    assert.equal(text, '{"models":[]}');
  });
}

test('P8: a request that asks for an upgrade is a plain request', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const headers = { authorization: team.mia.bearer, connection: 'Upgrade', upgrade: 'websocket' };
  assert.equal((await guard.call({ headers })).status, 200);
  assert.equal((await guard.call({ headers: { connection: 'Upgrade', upgrade: 'websocket' } })).status, 401);
  assert.equal(upstream.requests.length, 1);
});
