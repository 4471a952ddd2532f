// https://github.com/http-party/node-http-proxy/issues/1455, jupyterhub/configurable-http-proxy#434 (60k leaked sockets).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusalBody } from '../../src/guard/answers.ts';
import { MiB } from '../../src/guard/config.ts';
import { ask } from '../support/asks.ts';
import { bodies } from '../support/bodies.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';
import { watchReading } from '../support/reading.ts';

for (const connection of upstreamConnections) {
  for (const [kind, request] of Object.entries(bodies)) {
    test(`P2: a client that leaves before the answer begins ends the request: ${kind} (${connection} connection)`, async (t) => {
      const upstream = await startFakeOllama(t, () => {});
      const guard = await startGuard(t, upstream);
      const before = await warm(guard, upstream, connection);
      const client = await RawClient.open(t, guard.port);
      client.send(request);
      const reply = await upstream.reply(before);

      client.socket.destroy();

      await reply.closed();
    });
  }

  test(`P2: a client that leaves in the middle of its upload ends the request (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const client = await RawClient.open(t, guard.port);
    const { headers, ...upload } = bodies['an upload'];
    client.send({ ...upload, headers: { ...headers, 'content-length': '1000' } });
    await upstream.until(() => upstream.heads.length === before + 1);

    client.socket.destroy();

    await upstream.until(() => upstream.open === 0);
    assert.equal(upstream.requests.length, before);
  });
}

test('P2: a client that leaves in the middle of a body that is checked leaves nothing behind', async (t) => {
  const maxBodyBytes = MiB;
  const reading = watchReading(t);
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { maxBodyBytes } });
  const path = '/api/show';
  const status = async () => {
    const response = await guard.call(ask(team.mia, path, { model: 'demo' }));
    if (response.status !== 200) assert.equal(response.text, refusalBody('too-many-bodies', path));
    return response.status;
  };
  const half = '{"model":"demo","system":"'.padEnd(maxBodyBytes - 1, 'x');
  const headers = { authorization: team.mia.bearer, 'content-length': `${maxBodyBytes}` };
  const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.open(t, guard.port)));
  for (const client of clients) client.send({ method: 'POST', path, headers, body: half });
  await reading.until(() => reading.bytes === clients.length * half.length);
  // That is as much as a user may have in memory at once: half of eight, and the reserve.
  assert.equal(await status(), 429);

  for (const client of clients) client.socket.destroy();

  while ((await status()) !== 200);
  assert.equal(upstream.heads.length, upstream.requests.length);
  assert.deepEqual([...new Set(upstream.requests.map(({ text }) => text))], ['{"model":"demo"}']);
});
