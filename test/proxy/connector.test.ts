/** A connector is Ollama for the programs of a teammate's computer, and for nobody else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { Connector } from '../../src/connector/connector.ts';
import { GuardError } from '../../src/guard/errors.ts';
import type { Guard } from '../../src/guard/guard.ts';
import { routes } from '../../src/guard/routes.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { freePort } from '../support/freePort.ts';
import { startGuard } from '../support/guard.ts';
import { joinedTo, openConnector, type TestConnector } from '../support/joined.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const auto = { config: { tls: { mode: 'auto' } } } as const;

for (const [kind, options] of [
  ['over TLS', auto],
  ['in the clear', {}],
] as const) {
  describe(`a connector ${kind}`, () => {
    test('adds the credential, and nothing of the client but what Ollama takes', async (t) => {
      const upstream = await startFakeOllama(t, (reply) => reply.json({ models: [] }));
      const guard = await startGuard(t, upstream, options);
      const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
      const headers = { authorization: 'Bearer of-another', 'x-api-key': 'another', cookie: 'a=b', 'x-other': 'c' };
      assert.equal((await connector.call({ headers })).text, '{"models":[]}');
      const response = await connector.call({ method: 'POST', path: '/api/chat', headers, body: '{"model":"m"}' });
      assert.equal(response.status, 200);
      assert.deepEqual(upstream.seen, ['GET /api/tags', 'POST /api/chat']);
      assert.equal(upstream.requests[1]?.text, '{"model":"m"}');
      for (const { headers: seen } of upstream.requests) {
        for (const name of ['authorization', 'x-api-key', 'cookie', 'x-other']) assert.equal(seen[name], undefined);
      }
      const { user } = await guard.event('request');
      assert.equal(user, 'mia');
    });

    test('streams record by record, both ways, and its client leaving reaches Ollama', async (t) => {
      const upstream = await startFakeOllama(t, () => {});
      const guard = await startGuard(t, upstream, options);
      const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
      const client = await RawClient.open(t, connector.port);
      client.send({ method: 'POST', path: '/api/generate', body: '{"model":"m"}' });
      const reply = await upstream.reply(0);
      reply.stream();
      for (const record of ['{"response":"one"}', '{"response":"two"}']) {
        reply.chunk(record);
        await client.has(record);
      }
      client.socket.destroy();
      await reply.closed();
    });

    test('keeps connections alive on both sides', async (t) => {
      const upstream = await startFakeOllama(t);
      const guard = await startGuard(t, upstream, options);
      const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
      const client = await RawClient.open(t, connector.port);
      for (let i = 0; i < 3; i++) {
        client.send({});
        assert.equal((await client.response()).status, 200);
      }
      assert.equal(upstream.connections, 1);
    });

    test('an upload arrives whole', async (t) => {
      const upstream = await startFakeOllama(t, (reply) => reply.json({}));
      const guard = await startGuard(t, upstream, options);
      const connector = await openConnector(t, joinedTo(guard.guard, team.adam));
      const body = Buffer.alloc(8 * 1024 * 1024, 'x');
      const path = `/api/blobs/sha256:${'a'.repeat(64)}`;
      assert.equal((await connector.call({ method: 'POST', path, body })).status, 200);
      assert.ok(upstream.requests[0]?.body.equals(body));
    });
  });
}

test('what the endpoint refuses is passed on in its words', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, auto);
  const connector = await openConnector(t, joinedTo(guard.guard, team.vera));
  const response = await connector.call({ method: 'POST', path: '/api/chat', body: '{"model":"m"}' });
  assert.equal(response.status, 403);
  assert.match(response.text, /Your role does not permit this/);
  assert.deepEqual(connector.links, [], 'and its link is as good as before');
});

/** An owner who means harm, and answers as they like. */
async function hostileEndpoint(t: TestContext, answer: RequestListener): Promise<TestConnector> {
  const server = createHttpServer(answer).listen(0, '127.0.0.1');
  t.after(() => server.close().closeAllConnections());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return openConnector(t, { ...joinedTo({ url: `http://127.0.0.1:${port}` } as Guard, team.mia) });
}

test('an owner who answers with a page does not get it to run where this computer trusts pages', async (t) => {
  const connector = await hostileEndpoint(t, (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/html', 'set-cookie': 'a=b', refresh: '0', link: '<x>', 'x-any': 'y' });
    res.end('<script>fetch("http://127.0.0.1:11434/api/delete")</script>');
  });
  const { status, headers } = await connector.call({});
  assert.equal(status, 200);
  assert.equal(headers['content-security-policy'], "default-src 'none'; sandbox");
  assert.equal(headers['x-content-type-options'], 'nosniff');
  for (const name of ['set-cookie', 'refresh', 'link', 'x-any']) assert.equal(headers[name], undefined, name);
});

test('an owner cannot send clients on to other services of this computer', async (t) => {
  const connector = await hostileEndpoint(t, (req, res) => {
    res.writeHead(req.method === 'GET' ? 200 : 307, { location: 'http://127.0.0.1:11434/api/delete' }).end();
  });
  const { status, headers } = await connector.call({ method: 'POST', path: '/api/chat', body: '{"model":"m"}' });
  assert.equal(status, 502);
  assert.equal(headers.location, undefined);
});

test('an answer of 101, which nobody asked for, holds up neither a request nor the look for the endpoint', async (t) => {
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'));
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const connector = await openConnector(t, joinedTo({ url } as Guard, team.mia));
  for (let i = 0; i < 2; i++) assert.ok((await connector.call({})).status >= 500);
});

test('a web page gets nothing, whatever name it comes by', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, auto);
  const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
  const { port } = connector;
  const refused: readonly Readonly<Record<string, string>>[] = [
    { host: `evil.example:${port}` },
    { host: `127.evil.example:${port}` },
    { host: `127.0.0.1.evil.example:${port}` },
    { host: `localhost.local:${port}` },
    { host: `192.168.1.5:${port}` },
    { host: '' },
    { origin: `http://127.0.0.1:${port}` },
    { origin: 'null' },
    { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];
  for (const headers of refused) {
    for (const path of ['/api/tags', '/', '/_guard/health']) {
      const { status, headers: answered } = await connector.call({ path, headers });
      assert.equal(status, 403, JSON.stringify({ path, headers }));
      assert.equal(answered['access-control-allow-origin'], undefined);
    }
  }
  const preflight = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
  assert.equal((await connector.call({ method: 'OPTIONS', path: '/api/chat', headers: preflight })).status, 403);
  for (const host of ['localhost', `LOCALHOST:${port}`, '127.0.0.1', '127.9.9.9:1', `[::1]:${port}`]) {
    assert.equal((await connector.call({ headers: { host } })).status, 200, host);
  }
  assert.equal(upstream.requests.length, 5);
});

test('only the surface of Ollama leads on; heartbeat and health are its own', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, auto);
  const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
  await guard.guard.stop(0);
  assert.equal((await connector.call({ method: 'HEAD', path: '/' })).status, 200);
  assert.equal((await connector.call({ path: '/_guard/health' })).text, '{"status":"ok"}');
  for (const path of ['/_guard/join', '/_guard/ca.pem', '/metrics', '/api', '/api/tagsx']) {
    assert.equal((await connector.call({ path })).status, 404, path);
  }
  for (const path of ['//api/tags', '/api/%70ull', '/api/../api/tags', 'http://127.0.0.1/api/tags']) {
    assert.equal((await connector.call({ path })).status, 400, path);
  }
  assert.equal((await connector.call({ method: 'PUT', path: '/api/tags' })).headers.allow, 'GET, HEAD');
  assert.equal((await connector.call({ path: '/api/tags', body: 'x' })).status, 400);
  assert.equal((await connector.call({ lines: ['Host: 127.0.0.1', 'Host: 127.0.0.1'] })).status, 400);
  for (const { method, path, needs } of routes.filter(({ needs: capability }) => capability === 'denied')) {
    const what = typeof path === 'string' ? path : '/api/user/keys/x';
    assert.equal((await connector.call({ method, path: what })).status, 403, `${method} ${what} ${needs}`);
  }
});

test("how large a body may be is the endpoint's to say; what none can allow is refused here", async (t) => {
  const MiB = 1024 * 1024;
  const guard = await startGuard(t, await startFakeOllama(t), auto);
  const connector = await openConnector(t, joinedTo(guard.guard, team.mia));
  const begin = (size: number) => ({
    method: 'POST',
    path: '/api/chat',
    headers: { 'content-length': String(size) },
    body: '{',
  });
  assert.equal((await connector.call(begin(65 * MiB))).status, 413);
  assert.equal((await guard.event('request')).status, 413, 'the endpoint said so');
  assert.equal((await connector.call(begin(4_097 * MiB))).status, 413);
});

test('its port is its own: one that is taken is told of', async (t) => {
  const port = await freePort();
  const taken = createServer().listen(port, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const guard = await startGuard(t, await startFakeOllama(t), auto);
  const joined = { ...joinedTo(guard.guard, team.mia), port };
  await assert.rejects(
    Connector.open(joined, () => {}),
    (error) => GuardError.is(error, 'address-in-use'),
  );
});
