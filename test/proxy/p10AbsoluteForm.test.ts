// http-proxy forwards `GET http://evil/y` as `/y`: the target checked is not the target used.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

test('P10: a target in absolute, authority or asterisk form is refused', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const targets = [
    'http://evil.example/api/tags',
    `http://127.0.0.1:${guard.port}/api/tags`,
    'https://evil.example/',
    'evil.example:80',
    'api/tags',
    '?x',
  ];
  for (const path of targets) {
    const response = await guard.call({ path, headers: { authorization: team.adam.bearer } });
    assert.equal(response.status, 400, path);
  }
  const asterisk = await guard.call({ method: 'OPTIONS', path: '*', headers: { authorization: team.adam.bearer } });
  assert.equal(asterisk.status, 400);
  assert.equal(upstream.connections, 0);
});

test('P10: CONNECT opens no tunnel', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const client = await RawClient.open(t, guard.port);
  client.send({ method: 'CONNECT', path: '127.0.0.1:22', headers: { authorization: team.adam.bearer } });
  await client.closed();
  assert.ok(!client.pending.startsWith('HTTP/1.1 2'));
  assert.equal(upstream.connections, 0);
});
