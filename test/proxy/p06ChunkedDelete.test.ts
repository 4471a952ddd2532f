// http-proxy loses the body of a chunked DELETE (`content-length: 0`), which is how Ollama's models are deleted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const chunkedDelete = {
  method: 'DELETE',
  path: '/api/delete',
  headers: { authorization: team.adam.bearer, 'transfer-encoding': 'chunked' },
} as const;

for (const connection of upstreamConnections) {
  test(`P6: a chunked DELETE arrives with its body (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const client = await RawClient.open(t, guard.port);
    client.send(chunkedDelete);
    client.send(chunk('{"model"'));
    client.send(chunk(':"demo"}'));
    client.send('0\r\n\r\n');

    assert.equal((await client.response()).status, 200);
    const { request } = await upstream.reply(before);
    assert.equal(request.text, '{"model":"demo"}');
    assert.equal(request.headers['content-length'], '16');
    assert.equal(request.headers['transfer-encoding'], undefined);
  });
}

test('P6: a DELETE with a length arrives as it is, and one without a body names no model', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const headers = { authorization: team.adam.bearer };
  await guard.call({ method: 'DELETE', path: '/api/delete', headers, body: '{"model":"demo"}' });
  assert.equal((await guard.call({ method: 'DELETE', path: '/api/delete', headers })).status, 400);
  assert.deepEqual(
    upstream.requests.map(({ text }) => text),
    ['{"model":"demo"}'],
  );
});

test('P6: a chunked DELETE of more than the limit is 413, and Ollama never hears of it', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config: { maxBodyBytes: 64 * 1024 } });
  const client = await RawClient.open(t, guard.port);
  client.send(chunkedDelete);
  client.send(chunk(`{"system":"${'x'.repeat(64 * 1024)}`));
  assert.equal((await client.response()).status, 413);
  assert.equal(upstream.connections, 0);
});
