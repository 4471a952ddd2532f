// https://github.com/http-party/node-http-proxy/issues/1559 #1580, nodejs/node#41117: Ollama keeps generating for nobody.
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

for (const connection of upstreamConnections) {
  test(`P1: a client that leaves mid-stream ends the request to Ollama (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t, (reply) => {
      reply.stream();
      reply.chunk('{"response":"first"}\n');
    });
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const client = await RawClient.open(t, guard.port);
    client.send({
      method: 'POST',
      path: '/api/generate',
      headers: { authorization: team.mia.bearer },
      body: '{"model":"demo"}',
    });
    await client.has('first');

    client.socket.destroy();

    await (await upstream.reply(before)).closed();
  });
}
