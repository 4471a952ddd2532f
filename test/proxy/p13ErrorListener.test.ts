// Without an `error` listener http-proxy throws out of an event: the process dies, the client hangs. Whatever the
// upstream does at whatever moment, the guard lives and the next request is answered.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { get } from '../support/asks.ts';
import { bodies } from '../support/bodies.ts';
import { type Reply, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient, type RawRequest } from '../support/rawClient.ts';

const misdeeds: Readonly<Record<string, (reply: Reply) => void>> = {
  'resets at once': (reply) => reply.reset(),
  'answers twice': (reply) => {
    reply.json({ first: true });
    reply.json({ second: true });
  },
  'answers and resets': (reply) => {
    reply.json({ first: true });
    reply.reset();
  },
  'says more than its length': (reply) => reply.raw('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}more'),
  'sends a bad chunk': (reply) => {
    reply.stream();
    reply.raw('zz\r\nhello\r\n');
  },
  'sends a status of four digits': (reply) => reply.raw('HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'),
  'sends a status of 99': (reply) => reply.raw('HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n'),
  'switches protocols unasked': (reply) =>
    reply.raw('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
  'sends header bytes beyond ASCII': (reply) =>
    reply.raw(Buffer.from('HTTP/1.1 200 Gr\u00fcn\r\nX-Note: \u00fc\u00ff\r\nContent-Length: 2\r\n\r\n{}', 'latin1')),
  'sends a head without end': (reply) => reply.raw(`HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(100_000)}\r\n\r\n`),
};

const requests: Readonly<Record<string, RawRequest>> = {
  ...bodies,
  'a list': get(team.mia, '/api/tags'),
  'a question': get(team.mia, '/api/version'),
};

for (const connection of upstreamConnections) {
  for (const [what, misdeed] of Object.entries(misdeeds)) {
    for (const [kind, request] of Object.entries(requests)) {
      test(`P13: an upstream that ${what} ends no more than its own request: ${kind} (${connection} connection)`, async (t) => {
        const upstream = await startFakeOllama(t, misdeed);
        const guard = await startGuard(t, upstream);
        await warm(guard, upstream, connection);
        const client = await RawClient.open(t, guard.port);
        client.send(request);
        // The client gets an answer or a broken connection, and never waits.
        await client.response().catch(() => client.closed());
        client.socket.destroy();

        upstream.answer = (reply) => reply.json({ version: '1' });
        const next = await guard.call(get(team.mia, '/api/version'));
        assert.equal(next.status, 200);
        assert.equal(next.text, '{"version":"1"}');
      });
    }
  }
}
