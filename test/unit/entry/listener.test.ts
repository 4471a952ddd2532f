import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { type TestContext, test } from 'node:test';
import { parseConfig } from '../../../src/guard/config.ts';
import { createListener, type RequestHandler } from '../../../src/guard/entry/listener.ts';
import { RawClient } from '../../support/rawClient.ts';

async function listen(t: TestContext, handle: RequestHandler): Promise<number> {
  const config = parseConfig({ host: '127.0.0.1', port: 0, upstream: 'http://127.0.0.1:1', idleTimeoutMs: 60 });
  const server = createListener(config, { onRequest: handle, onConnection: () => {} }, { onAlpn: undefined });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

test('a reader that takes nothing of an answer that is complete here is ended too', async (t) => {
  const closed = Promise.withResolvers<void>();
  const port = await listen(t, (_req, res) => {
    res.end(Buffer.alloc(32 * 1024 * 1024));
    res.on('close', closed.resolve);
  });
  const client = await RawClient.open(t, port, { paused: true });
  client.send({});
  await closed.promise;
});

test('an answer that has not begun is not idle', async (t) => {
  const port = await listen(t, (_req, res) => {
    setTimeout(() => res.end('late'), 200);
  });
  const client = await RawClient.open(t, port);
  client.send({});
  assert.equal((await client.response()).text, 'late');
});

test('garbage behind a request that is being answered ends the connection and not with a second answer', async (t) => {
  const port = await listen(t, (_req, res) => {
    res.write('half');
  });
  const client = await RawClient.open(t, port);
  client.send({});
  await client.has('half');
  client.send('garbage\r\n\r\n');
  await client.closed();
  assert.equal(client.pending.match(/HTTP\/1\.1/g)?.length, 1);
});

const ownAddress = Object.values(networkInterfaces())
  .flat()
  .find((entry) => entry?.family === 'IPv4' && !entry.internal)?.address;
const skip = ownAddress === undefined && 'needs an address beyond loopback';

test('one address beyond this computer does not take all connections there are', { skip }, async (t) => {
  const config = parseConfig({ host: '0.0.0.0', port: 0, upstream: 'http://127.0.0.1:1' });
  const server = createListener(
    config,
    { onRequest: (_req, res) => res.end(), onConnection: () => {} },
    { onAlpn: undefined },
  );
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clients: Socket[] = [];
  t.after(() => {
    for (const client of clients) client.destroy();
    server.close();
    server.closeAllConnections();
  });
  const open = async (host: string): Promise<Socket> => {
    const client = connect(port, host).on('error', () => {});
    clients.push(client);
    await once(client, 'connect');
    return client;
  };
  for (let i = 0; i < 1_024; i++) await open(ownAddress ?? '');
  const oneMore = await open(ownAddress ?? '');
  await once(oneMore, 'close');
  assert.ok(clients.filter((client) => !client.destroyed).length === 1_024, 'those that are there stay');
  const local = await open('127.0.0.1');
  local.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  assert.match(String((await once(local, 'data'))[0]), /^HTTP\/1\.1 200/, 'and others get in');
});
