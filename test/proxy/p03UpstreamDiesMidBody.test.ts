// http-proxy 1.18.1 and http-proxy-3: Ollama dies in the middle of an answer and the client waits for ever.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Reply, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const deaths: Readonly<Record<string, (reply: Reply) => void>> = {
  'a chunked answer, closed': (reply) => {
    reply.stream();
    reply.chunk('{"response":"half"}\n');
    setImmediate(() => reply.die());
  },
  'a chunked answer, reset': (reply) => {
    reply.stream();
    reply.chunk('{"response":"half"}\n');
    reply.socket.once('drain', () => {});
    setTimeout(() => reply.reset(), 20);
  },
  'an answer with a length': (reply) => {
    reply.raw('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"response":"half"}');
    setImmediate(() => reply.die());
  },
};

for (const connection of upstreamConnections) {
  for (const [how, die] of Object.entries(deaths)) {
    test(`P3: Ollama dies mid-body and the client sees it: ${how} (${connection} connection)`, async (t) => {
      const upstream = await startFakeOllama(t, die);
      const guard = await startGuard(t, upstream);
      await warm(guard, upstream, connection);
      const client = await RawClient.open(t, guard.port);
      client.send({
        method: 'POST',
        path: '/api/generate',
        headers: { authorization: team.mia.bearer },
        body: '{"model":"demo"}',
      });

      const response = await client.response();

      assert.equal(response.status, 200);
      assert.equal(response.complete, false);
      assert.equal(response.text, '{"response":"half"}\n'.slice(0, response.text.length), 'nothing may be appended');
      assert.ok(!response.text.includes('error'));
      await client.closed();
    });
  }
}
