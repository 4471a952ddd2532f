// Nobody listens where Ollama should be: 503 with a hint, in the caller's dialect.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askWithForm, field, file } from '../support/asks.ts';
import { bodies } from '../support/bodies.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, upstreamConnections, warm } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient, type RawRequest } from '../support/rawClient.ts';

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

const megabyte = 'x'.repeat(1024 * 1024);
const large: Readonly<Record<string, RawRequest>> = {
  'an upload': { ...bodies['an upload'], body: megabyte },
  'a large JSON body': { ...bodies.JSON, body: JSON.stringify({ model: 'demo', prompt: megabyte }) },
  'a large form': askWithForm(team.mia, [file('file', megabyte), field('model', 'demo')]),
};

for (const [kind, request] of Object.entries(large)) {
  test(`P12: ${kind} to an Ollama that is down is answered on a connection that lives on`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    await upstream.stop();
    const client = await RawClient.open(t, guard.port);
    client.send(request);
    assert.equal((await client.response()).status, 503);
    client.send({ path: '/_guard/health' });
    assert.equal((await client.response()).status, 200);
  });
}
