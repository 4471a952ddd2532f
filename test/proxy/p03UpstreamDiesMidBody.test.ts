// http-proxy 1.18.1 and http-proxy-3: Ollama dies in the middle of an answer and the client waits for ever.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusalBody } from '../../src/guard/answers.ts';
import { get } from '../support/asks.ts';
import { bodies } from '../support/bodies.ts';
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
    for (const [kind, request] of Object.entries(bodies)) {
      test(`P3: Ollama dies mid-body and the client sees it: ${how}, to ${kind} (${connection} connection)`, async (t) => {
        const upstream = await startFakeOllama(t, die);
        const guard = await startGuard(t, upstream);
        await warm(guard, upstream, connection);
        const client = await RawClient.open(t, guard.port);
        client.send(request);

        const response = await client.response();

        assert.equal(response.status, 200);
        assert.equal(response.complete, false);
        assert.equal(response.text, '{"response":"half"}\n'.slice(0, response.text.length), 'nothing may be appended');
        assert.ok(!response.text.includes('error'));
        await client.closed();
      });
    }

    test(`P3: Ollama dies in the middle of a list and the client is told: ${how} (${connection} connection)`, async (t) => {
      const upstream = await startFakeOllama(t, die);
      const guard = await startGuard(t, upstream);
      await warm(guard, upstream, connection);
      const response = await guard.call(get(team.mia, '/api/tags'));
      assert.equal(response.status, 502);
      assert.equal(response.complete, true);
      assert.equal(response.text, refusalBody('upstream-failed', '/api/tags'));
    });
  }
}
