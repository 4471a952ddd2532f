// http-proxy appends to a client's X-Forwarded-For, so that anybody can be anywhere (also SEC-24).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodies } from '../support/bodies.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';

const claims = {
  'x-forwarded-for': '203.0.113.9',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'https',
  'x-forwarded-port': '443',
  'x-forwarded-uri': '/api/delete',
  'x-forwarded-method': 'DELETE',
  'x-original-url': '/api/delete',
  'x-rewrite-url': '/api/delete',
  'x-http-method-override': 'DELETE',
  'x-real-ip': '203.0.113.9',
  forwarded: 'for=203.0.113.9',
  via: '1.1 evil',
};

const requests = { 'a list': { path: '/api/tags', headers: { authorization: team.vera.bearer } }, ...bodies };

for (const connection of upstreamConnections) {
  for (const [kind, request] of Object.entries(requests)) {
    test(`P9: what a client claims about its way does not reach Ollama: ${kind} (${connection} connection)`, async (t) => {
      const upstream = await startFakeOllama(t);
      const guard = await startGuard(t, upstream);
      const before = await warm(guard, upstream, connection);
      const response = await guard.call({ ...request, headers: { ...request.headers, ...claims } });
      assert.equal(response.status, 200);
      const { headers, target } = (await upstream.reply(before)).request;
      assert.equal(target, request.path);
      for (const name of Object.keys(claims)) assert.equal(headers[name], undefined, name);
    });
  }
}

test('P9: failures count for the address of the socket, whatever is claimed', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const statuses: number[] = [];
  for (let i = 0; i < 12; i++) {
    const headers = { authorization: 'Bearer wrong', 'x-forwarded-for': `203.0.113.${i}` };
    statuses.push((await guard.call({ headers })).status);
  }
  assert.deepEqual(statuses, [...Array(10).fill(401), 429, 429]);
});
