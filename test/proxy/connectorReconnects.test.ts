/** A connector finds its endpoint again: after a restart, at another of its addresses, and says what is wrong meanwhile. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { removeUser } from '../../src/guard/identity/users.ts';
import { createMemoryVault } from '../../src/guard/tls/vault.ts';
import { type FakeOllama, startFakeOllama } from '../support/fakeOllama.ts';
import { freePort } from '../support/freePort.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { joinedTo, openConnector } from '../support/joined.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const chat = { method: 'POST', path: '/api/chat', body: '{"model":"m"}' };
const vault = createMemoryVault();

/** Every guard here is the same endpoint: its authority is. */
function endpoint(t: TestContext, upstream: FakeOllama, port = 0): Promise<TestGuard> {
  return startGuard(t, upstream, { vault, config: { tls: { mode: 'auto' }, port } });
}

/** Takes connections and never says a word, as a way does that leads nowhere. */
async function silent(t: TestContext, port = 0): Promise<{ server: Server; port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket)).listen(port, '127.0.0.1');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port, sockets };
}

test('an endpoint that is not there is told of in words, in every dialect, and once; so is its return', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await endpoint(t, upstream);
  const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
  assert.equal((await connector.call({})).status, 200);
  await guard.guard.stop(0);
  const native = await connector.call({});
  assert.equal(native.status, 503);
  assert.match(JSON.parse(native.text).error, /not sharing right now/);
  const openAi = await connector.call({ ...chat, path: '/v1/chat/completions' });
  assert.equal(openAi.status, 503);
  assert.equal(JSON.parse(openAi.text).error.code, 'endpoint-unreachable');
  const anthropic = await connector.call({ ...chat, path: '/v1/messages' });
  assert.equal(JSON.parse(anthropic.text).error.type, 'overloaded_error');
  assert.deepEqual(
    connector.links.map(({ status }) => status),
    ['broken'],
  );
  await endpoint(t, upstream, guard.port);
  assert.equal((await connector.call(chat)).status, 200);
  assert.deepEqual(
    connector.links.map(({ status }) => status),
    ['broken', 'open'],
  );
});

test('nobody has to ask for its end to be noticed, nor for its return', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await endpoint(t, upstream);
  const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
  const client = await RawClient.open(t, connector.port);
  client.send(chat);
  await upstream.reply(0);
  await guard.guard.stop(0);
  assert.equal((await client.response()).status, 502);
  await connector.told(1);
  await endpoint(t, upstream, guard.port);
  await connector.told(2);
  assert.equal(connector.links[1]?.status, 'open');
});

test('a request without a body goes to another address when its own fails, and later ones stay there', async (t) => {
  const upstream = await startFakeOllama(t);
  const first = await endpoint(t, upstream);
  const second = await endpoint(t, upstream);
  const joined = joinedTo(first.guard, team.mia);
  const addresses = [first.guard.url, `https://127.0.0.1:${await freePort()}`, second.guard.url];
  const connector = await openConnector(t, { ...joined, addresses });
  assert.equal((await connector.call({})).status, 200);
  await first.guard.stop(0);
  assert.equal((await connector.call({})).status, 200);
  assert.equal((await connector.call(chat)).status, 200);
  assert.deepEqual(connector.links, [], 'nobody had to be told');
  await second.event('request');
  // Back at the first: the second is kept for as long as it works.
  await endpoint(t, upstream, first.port);
  assert.equal((await connector.call({})).status, 200);
  await second.guard.stop(0);
  assert.equal((await connector.call({})).status, 200);
});

test('a request with a body may have been carried out, so it fails in words; the next one finds the way', async (t) => {
  const upstream = await startFakeOllama(t);
  const first = await endpoint(t, upstream);
  const second = await endpoint(t, upstream);
  const addresses = [first.guard.url, second.guard.url];
  const connector = await openConnector(t, { ...joinedTo(first.guard, team.mia), addresses });
  assert.equal((await connector.call({})).status, 200);
  await first.guard.stop(0);
  const failed = await connector.call(chat);
  assert.equal(failed.status, 503);
  assert.equal((await connector.call(chat)).status, 200);
  assert.equal(upstream.requests.length, 2);
});

test('an address where nobody says a word is passed over', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await endpoint(t, upstream);
  const { port } = await silent(t);
  const addresses = [`https://127.0.0.1:${port}`, guard.guard.url];
  const connector = await openConnector(t, { ...joinedTo(guard.guard, team.mia), addresses });
  assert.equal((await connector.call(chat)).status, 200);
});

test('access that has ended is told in words, and the endpoint is left alone for a while', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await endpoint(t, upstream);
  const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
  assert.equal((await connector.call({})).status, 200);
  guard.guard.setUsers(removeUser(team.users, 'mia'));
  for (let i = 0; i < 20; i++) {
    const { status, text, headers } = await connector.call({});
    assert.equal(status, 403);
    assert.match(text, /Your access to this endpoint has ended/);
    assert.equal(headers['www-authenticate'], undefined);
  }
  await guard.event('sign-in-failed');
  assert.equal(guard.events.filter(({ type }) => type === 'sign-in-failed').length, 1);
  assert.deepEqual(
    connector.links.map(({ status }) => status),
    ['broken'],
  );
});

test('access that is given again works once the while is over', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await endpoint(t, upstream);
  const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
  guard.guard.setUsers(removeUser(team.users, 'mia'));
  assert.equal((await connector.call({})).status, 403);
  guard.guard.setUsers(team.users);
  const { now } = performance;
  t.mock.method(performance, 'now', () => now.call(performance) + 31_000);
  assert.equal((await connector.call({})).status, 200);
  assert.deepEqual(
    connector.links.map(({ status }) => status),
    ['broken', 'open'],
  );
});

test('what is under way by an address that fell silent ends when another leads there', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const first = await endpoint(t, upstream);
  const second = await endpoint(t, upstream);
  // A way to the first guard that can be stopped without a word to anybody, as when a computer leaves a network.
  let cut = false;
  const ways: Socket[] = [];
  const way = createServer((near) => {
    if (cut) return;
    const far = connect(first.port, '127.0.0.1');
    ways.push(near, far);
    near.on('data', (data) => !cut && far.write(data)).on('error', () => {});
    far.on('data', (data) => !cut && near.write(data)).on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(way, 'listening');
  t.after(() => {
    way.close();
    for (const socket of ways) socket.destroy();
  });
  const addresses = [`https://127.0.0.1:${(way.address() as AddressInfo).port}`, second.guard.url];
  const connector = await openConnector(t, { ...joinedTo(first.guard, team.mia), addresses });
  const client = await RawClient.open(t, connector.port);
  client.send(chat);
  (await upstream.reply(0)).stream();
  await client.has('200 OK');
  cut = true;
  await client.closed();
  upstream.answer = (reply) => reply.json({});
  assert.equal((await connector.call(chat)).status, 200);
});
