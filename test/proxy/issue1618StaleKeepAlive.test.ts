// https://github.com/http-party/node-http-proxy/issues/1618: stuck connections after the upstream has restarted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodies } from '../support/bodies.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';

const headers = { authorization: team.mia.bearer };

test('#1618: an upstream that restarted is used again at once', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  await warm(guard, upstream, 'kept-alive');
  await upstream.stop();
  assert.equal((await guard.call({ headers })).status, 503);
  await upstream.start();
  assert.equal((await guard.call({ headers })).status, 200);
  for (const request of Object.values(bodies)) assert.equal((await guard.call(request)).status, 200);
});

for (const [kind, path, answer] of [
  ['that flows by', '/api/version', '{"second":true}'],
  ['that is a list', '/api/tags', '{"models":[],"second":true}'],
] as const) {
  test(`#1618: a kept connection that closes just as it is used costs an answer ${kind} nothing`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    await warm(guard, upstream, 'kept-alive');
    upstream.answer = (reply) => {
      upstream.answer = (next) => next.text(answer, 'application/json');
      reply.die();
    };
    const response = await guard.call({ path, headers });
    assert.equal(response.text, answer);
    assert.equal(upstream.requests.length, 3);
  });

  test(`#1618: it is tried once more and not for ever, however many connections are stale: one ${kind}`, async (t) => {
    const upstream = await startFakeOllama(t, () => {});
    const guard = await startGuard(t, upstream);
    const warming = Array.from({ length: 4 }, () => guard.call({ path: '/api/version', headers }));
    await upstream.until(() => upstream.requests.length === 4);
    for (let i = 0; i < 4; i++) (await upstream.reply(i)).json({});
    await Promise.all(warming);
    upstream.answer = (reply) => reply.die();
    assert.equal((await guard.call({ path, headers })).status, 502);
    assert.equal(upstream.requests.length, 6);
    assert.equal(upstream.connections, 4);
  });
}

for (const [kind, request] of Object.entries(bodies)) {
  test(`#1618: a request with a body may have been carried out and is not repeated: ${kind}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    await warm(guard, upstream, 'kept-alive');
    upstream.answer = (reply) => reply.die();
    assert.equal((await guard.call(request)).status, 502);
    assert.equal(upstream.requests.length, 2);
  });
}

test('#1618: a new connection that fails is not tried again', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.die());
  const guard = await startGuard(t, upstream);
  assert.equal((await guard.call({ headers })).status, 502);
  assert.equal(upstream.requests.length, 1);
});

test('connections to the upstream are kept and used again', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const requests = [{ headers }, { path: '/api/version', headers }, ...Object.values(bodies)];
  for (let i = 0; i < 200; i++) assert.equal((await guard.call(requests[i % requests.length] ?? {})).status, 200);
  assert.equal(upstream.requests.length, 200);
  assert.equal(upstream.connections, 1);
});
