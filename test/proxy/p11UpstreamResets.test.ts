// Ollama resets the connection before it answers: one 502 in the caller's dialect.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusalBody } from '../../src/guard/answers.ts';
import { bodies } from '../support/bodies.ts';
import { type Reply, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { RawClient, type RawRequest } from '../support/rawClient.ts';

const ends: Readonly<Record<string, (reply: Reply) => void>> = {
  'a reset': (reply) => reply.reset(),
  'a close': (reply) => reply.die(),
  'half a head': (reply) => {
    reply.raw('HTTP/1.1 200 OK\r\nContent-Le');
    reply.socket.end();
  },
  'an answer that is no HTTP': (reply) => reply.raw('SSH-2.0-OpenSSH_9.2\r\n\r\n'),
};

const requests: Readonly<Record<string, RawRequest & { readonly path: string }>> = {
  ...bodies,
  "a chat in OpenAI's dialect": { ...bodies.JSON, path: '/v1/chat/completions' },
  "a chat in Anthropic's dialect": { ...bodies.JSON, path: '/v1/messages' },
};

for (const connection of upstreamConnections) {
  for (const [how, end] of Object.entries(ends)) {
    for (const [kind, request] of Object.entries(requests)) {
      test(`P11: ${how} before the answer to ${kind} is 502 (${connection} connection)`, async (t) => {
        const upstream = await startFakeOllama(t, end);
        const guard = await startGuard(t, upstream);
        await warm(guard, upstream, connection);
        const response = await guard.call(request);
        assert.equal(response.status, 502);
        assert.equal(response.text, refusalBody('upstream-failed', request.path));
      });
    }
  }

  test(`P11: an end in the middle of an upload is 502 (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const client = await RawClient.open(t, guard.port);
    const { headers, body, ...upload } = bodies['an upload'];
    client.send({ ...upload, headers: { ...headers, 'content-length': `${2 * body.length}` }, body });
    await upstream.until(() => upstream.heads.length === before + 1);
    await upstream.stop();
    const response = await client.response();
    assert.equal(response.status, 502);
    assert.equal(response.text, refusalBody('upstream-failed', upload.path));
    // The rest is taken off the wire, and the connection is good for the next request.
    client.send(body);
    client.send({ path: '/_guard/health' });
    assert.equal((await client.response()).status, 200);
  });

  test(`P11: an end in the middle of a body that was checked is 502 (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t, () => {});
    const guard = await startGuard(t, upstream);
    const before = await warm(guard, upstream, connection);
    const body = JSON.stringify({ model: 'demo', prompt: 'x'.repeat(8 * 1024 * 1024) });
    const answered = guard.call({ ...bodies.JSON, body });
    await upstream.until(() => upstream.heads.length === before + 1);
    await upstream.stop();
    const response = await answered;
    assert.equal(response.status, 502);
    assert.equal(response.text, refusalBody('upstream-failed', bodies.JSON.path));
  });
}
