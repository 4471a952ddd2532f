// Ollama resets the connection before it answers: one 502 in the caller's dialect.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Reply, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';

const ends: Readonly<Record<string, (reply: Reply) => void>> = {
  'a reset': (reply) => reply.reset(),
  'a close': (reply) => reply.die(),
  'half a head': (reply) => {
    reply.raw('HTTP/1.1 200 OK\r\nContent-Le');
    reply.socket.end();
  },
  'an answer that is no HTTP': (reply) => reply.raw('SSH-2.0-OpenSSH_9.2\r\n\r\n'),
};

for (const connection of upstreamConnections) {
  for (const [how, end] of Object.entries(ends)) {
    test(`P11: ${how} before the answer is 502 (${connection} connection)`, async (t) => {
      const upstream = await startFakeOllama(t, end);
      const guard = await startGuard(t, upstream);
      await warm(guard, upstream, connection);
      const headers = { authorization: team.mia.bearer };
      const response = await guard.call({
        method: 'POST',
        path: '/v1/chat/completions',
        headers,
        body: '{"model":"demo"}',
      });
      assert.equal(response.status, 502);
      assert.equal(JSON.parse(response.text).error.type, 'api_error');
    });
  }
}
