// The same two failures of http-proxy as in P6 and P7, where no body is read: at a connector.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { joinedTo, openConnector } from '../support/joined.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const payload = 'GET /api/smuggled HTTP/1.1\r\nHost: x\r\n\r\n';

const chunkedDelete = { method: 'DELETE', path: '/api/delete', headers: { 'transfer-encoding': 'chunked' } } as const;

test('P6: a chunked DELETE arrives with its body through a connector', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const connector = await openConnector(t, joinedTo(guard.guard, team.adam));
  const body = Buffer.concat([chunk('{"model"'), chunk(':"demo"}'), Buffer.from('0\r\n\r\n')]);
  assert.equal((await connector.call({ ...chunkedDelete, body })).status, 200);
  assert.deepEqual(
    upstream.requests.map(({ text }) => text),
    ['{"model":"demo"}'],
  );
});

test('P6: a chunked DELETE of more than 64 KiB ends at a connector with 413', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const connector = await openConnector(t, joinedTo(guard.guard, team.adam));
  const client = await RawClient.open(t, connector.port);
  client.send(chunkedDelete);
  // The endpoint would say 400 to this.
  client.send(chunk(Buffer.alloc(64 * 1024 + 1, 'x')));
  assert.equal((await client.response()).status, 413);
  assert.equal(upstream.connections, 0);
});

test('P7: a request inside a chunked DELETE stays a body on its way through a connector', async (t) => {
  // In place of an endpoint, which would refuse such a body, what takes it.
  const endpoint = await startFakeOllama(t);
  const { name: user, key: apiKey } = team.adam;
  const connector = await openConnector(t, { id: 'joined2222', user, addresses: [endpoint.url], apiKey, port: 0 });
  const body = Buffer.concat([chunk(payload), Buffer.from('0\r\n\r\n')]);
  assert.equal((await connector.call({ ...chunkedDelete, body })).status, 200);
  assert.equal((await connector.call({ path: '/api/ps' })).status, 200);
  const received = endpoint.requests.find(({ method }) => method === 'DELETE');
  assert.equal(received?.text, payload);
  assert.ok(!endpoint.seen.some((line) => line.includes('smuggled')), endpoint.seen.join());
});
