// https://github.com/http-party/node-http-proxy/issues/1559 #1580, nodejs/node#41117: Ollama keeps generating for nobody.
import { test } from 'node:test';
import { get } from '../support/asks.ts';
import { bodies } from '../support/bodies.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

for (const connection of upstreamConnections) {
  for (const [kind, request] of Object.entries(bodies)) {
    test(`P1: a client that leaves mid-stream ends the request to Ollama: ${kind} (${connection} connection)`, async (t) => {
      const upstream = await startFakeOllama(t, (reply) => {
        reply.stream();
        reply.chunk('{"response":"first"}\n');
      });
      const guard = await startGuard(t, upstream);
      const before = await warm(guard, upstream, connection);
      const client = await RawClient.open(t, guard.port);
      client.send(request);
      await client.has('first');

      client.socket.destroy();

      await (await upstream.reply(before)).closed();
    });
  }

  test(`P1: a client that leaves while its list is collected ends the request (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t, (reply) => {
      reply.stream('application/json');
      reply.chunk('{"models":[');
    });
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const client = await RawClient.open(t, guard.port);
    client.send(get(team.mia, '/api/tags'));
    const reply = await upstream.reply(before);

    client.socket.destroy();

    await reply.closed();
  });
}
