// SEC-34: a body that the guard cannot read and Ollama can is a way around whatever is decided on bodies.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

/** Of bodies that are read and checked, and of one that flows by. */
const paths = [
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/messages',
  '/api/chat',
  '/v1/audio/transcriptions',
  `/api/blobs/sha256:${'0'.repeat(64)}`,
];

test('SEC-34: a content encoding is 415 on every route', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const encoding of ['zstd', 'gzip', 'ZSTD', 'br', 'identity, zstd', 'x-unknown', '']) {
    for (const path of paths) {
      const headers = { authorization: team.adam.bearer, 'content-encoding': encoding };
      assert.equal(
        (await guard.call({ method: 'POST', path, headers, body: '{"model":"demo"}' })).status,
        415,
        `${encoding} ${path}`,
      );
    }
  }
  assert.equal(upstream.connections, 0);
  const identity = { authorization: team.mia.bearer, 'content-encoding': 'identity' };
  assert.equal(
    (await guard.call({ method: 'POST', path: '/api/chat', headers: identity, body: '{"model":"demo"}' })).status,
    200,
  );
  assert.equal(upstream.requests[0]?.headers['content-encoding'], undefined);
});

test('SEC-64: compression is not asked of Ollama either, for a compressed stream is a buffered stream', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  await guard.call({ headers: { authorization: team.mia.bearer, 'accept-encoding': 'gzip, br' } });
  assert.equal(upstream.requests[0]?.headers['accept-encoding'], undefined);
});
