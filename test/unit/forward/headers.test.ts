import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clientHeaders, upstreamHeaders } from '../../../src/guard/forward/headers.ts';

test('SEC-41: only listed names go to Ollama, whatever a client thinks of', () => {
  const listed = /^(accept|content-type|content-length|transfer-encoding|user-agent|anthropic-(version|beta))$/;
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string()), (headers) => {
      for (const name of Object.keys(upstreamHeaders(headers))) assert.match(name, listed);
    }),
  );
  assert.deepEqual(upstreamHeaders({ accept: 'a', authorization: 'b', 'x-api-key': 'c', cookie: 'd', host: 'e' }), {
    accept: 'a',
  });
});

test("hop-by-hop headers, what Connection lists, and Ollama's CORS do not go to the client", () => {
  const headers = {
    connection: 'close , X-Listed',
    'keep-alive': '5',
    'transfer-encoding': 'chunked',
    'x-listed': 'x',
    'access-control-allow-origin': '*',
    'set-cookie': ['a'],
    server: 's',
    vary: 'v',
    'content-type': 't',
    'x-other': 'o',
  };
  assert.deepEqual(clientHeaders(headers), { 'x-accel-buffering': 'no', 'content-type': 't', 'x-other': 'o' });
});
