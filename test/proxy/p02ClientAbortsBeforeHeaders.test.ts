// https://github.com/http-party/node-http-proxy/issues/1455, jupyterhub/configurable-http-proxy#434 (60k leaked sockets).
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

for (const connection of upstreamConnections) {
  test(`P2: a client that leaves before the answer begins ends the request (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t, () => {});
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const client = await RawClient.open(t, guard.port);
    client.send({
      method: 'POST',
      path: '/api/chat',
      headers: { authorization: team.mia.bearer },
      body: '{"model":"demo"}',
    });
    const reply = await upstream.reply(before);

    client.socket.destroy();

    await reply.closed();
  });

  test(`P2: a client that leaves in the middle of its upload ends the request (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const client = await RawClient.open(t, guard.port);
    const headers = { authorization: team.adam.bearer, 'content-length': '1000' };
    client.send({ method: 'POST', path: `/api/blobs/sha256:${'0'.repeat(64)}`, headers, body: '{"half' });
    await upstream.until(() => upstream.heads.length === before + 1);

    client.socket.destroy();

    await upstream.until(() => upstream.open === 0);
  });
}
