// A client that writes its whole body before it reads (Python's http.client, requests, httpx) must find the refusal and
// not a broken pipe. Node's clients read early and would not notice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { team } from '../support/people.ts';
import { RawClient, requestBytes } from '../support/rawClient.ts';

const megabytes = 8;
const filler = Buffer.alloc(megabytes * 1024 * 1024, 'x');
// What may be sent.
const body = `{"model":"m","prompt":"${filler}"}`;
const chunked = Buffer.concat([...Array(megabytes).fill(chunk(body.slice(0, 1024 * 1024))), Buffer.from('0\r\n\r\n')]);
const good = { authorization: team.mia.bearer };
const path = '/api/chat';
const blob = `/api/blobs/sha256:${'0'.repeat(64)}`;

const cases = {
  'a length beyond the limit': [413, { path, headers: good, body }],
  'chunks beyond the limit': [413, { path, headers: { ...good, 'transfer-encoding': 'chunked' }, body: chunked }],
  'no credential': [401, { path, body }],
  'a role that does not permit it': [403, { path: '/api/create', headers: good, body }],
  'an unknown path': [404, { path: '/nowhere', headers: good, body }],
  'a path in another form': [400, { path: '/api//chat', headers: good, body }],
  'a content encoding': [415, { path, headers: { ...good, 'content-encoding': 'zstd' }, body }],
  'no JSON': [400, { path, headers: good, body: filler }],
  'no model': [400, { path, headers: good, body: `{"prompt":"${filler}"}` }],
  'a model of ollama.com': [403, { path, headers: good, body: `{"model":"m:cloud","prompt":"${filler}"}` }],
  'an Ollama that is down': [503, { path, headers: good, body }],
  'an Ollama that is down, of a blob': [503, { path: blob, headers: { authorization: team.adam.bearer }, body }],
} as const;

for (const [what, [status, request]] of Object.entries(cases)) {
  test(`an upload refused for ${what} is taken off the wire, and its sender reads ${status}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const maxBodyBytes = status === 413 ? 1024 : 1024 * 1024 * 1024;
    const guard = await startGuard(t, upstream, { config: { maxBodyBytes } });
    if (status === 503) await upstream.stop();
    const client = await RawClient.open(t, guard.port, { paused: true });
    await new Promise<void>((resolve, reject) => {
      client.socket.write(requestBytes(client.host, { method: 'POST', ...request }), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    client.socket.resume();
    assert.equal((await client.response()).status, status);
    // The connection is good for the next request.
    client.send({ path: '/_guard/health' });
    assert.equal((await client.response()).status, 200);
  });
}
