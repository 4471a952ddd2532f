import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { parseConfig } from '../../../src/guard/config.ts';
import { createForward } from '../../../src/guard/forward/forward.ts';
import { startFakeOllama } from '../../support/fakeOllama.ts';
import { RawClient } from '../../support/rawClient.ts';

test('P2: a client that is gone before its request goes out leaves no request behind', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const forward = createForward(parseConfig({ host: '127.0.0.1', port: 0, upstream: upstream.url }));
  t.after(() => forward.close());
  const server = createServer((req, res) => {
    res.once('close', () => forward(req, res, { path: '/api/chat', body: 'json' }));
    res.destroy();
  });
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');

  const client = await RawClient.open(t, (server.address() as AddressInfo).port);
  client.send({ method: 'POST', path: '/api/chat', body: '{}' });
  await client.closed();
  await upstream.until(() => upstream.connections === 1 && upstream.open === 0);
  assert.deepEqual(upstream.seen, []);
});
