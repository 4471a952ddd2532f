// Nobody listens where Ollama should be: 503 with a hint, in the caller's dialect.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';

for (const connection of upstreamConnections) {
  test(`P12: Ollama is down (${connection} connection)`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    await warm(guard, upstream, connection);
    await upstream.stop();
    const headers = { authorization: team.mia.bearer };

    const native = await guard.call({ headers });
    assert.equal(native.status, 503);
    assert.match(JSON.parse(native.text).error, /whether Ollama is running/);
    const openAi = await guard.call({
      method: 'POST',
      path: '/v1/chat/completions',
      headers,
      body: '{"model":"demo"}',
    });
    assert.equal(openAi.status, 503);
    assert.equal(JSON.parse(openAi.text).error.code, 'upstream-down');
    const anthropic = await guard.call({ method: 'POST', path: '/v1/messages', headers, body: '{"model":"demo"}' });
    assert.equal(anthropic.status, 503);
    assert.equal(JSON.parse(anthropic.text).error.type, 'overloaded_error');
  });
}

test('P12: an upload to an Ollama that is down is answered on a connection that lives on', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  await upstream.stop();
  const headers = { authorization: team.mia.bearer };
  const body = JSON.stringify({ model: 'demo', prompt: 'x'.repeat(1024 * 1024) });
  const response = await guard.call({ method: 'POST', path: '/api/chat', headers, body });
  assert.equal(response.status, 503);
});
