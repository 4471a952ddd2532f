// RFC 9112 §2.2, §5.2, §6.3, §11.2: messages that two parsers could read differently never get as far as a sign-in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const auth = `Authorization: ${team.adam.bearer}`;
const host = 'Host: 127.0.0.1';
const smuggled = 'GET /api/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';

const lines = (...all: readonly string[]): string => `${all.join('\r\n')}\r\n\r\n`;
// A body of which nothing is read: whatever got this far would be sent to Ollama.
const post = `POST /api/blobs/sha256:${'0'.repeat(64)} HTTP/1.1`;
const get = 'GET /api/tags HTTP/1.1';

const ambiguous: Readonly<Record<string, string>> = {
  'length and chunks': `${lines(post, host, auth, 'Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n${smuggled}`,
  'chunks and length': `${lines(post, host, auth, 'Transfer-Encoding: chunked', 'Content-Length: 4')}0\r\n\r\n${smuggled}`,
  'two lengths': `${lines(post, host, auth, 'Content-Length: 0', `Content-Length: ${smuggled.length}`)}${smuggled}`,
  'the same length twice': `${lines(post, host, auth, 'Content-Length: 2', 'Content-Length: 2')}{}`,
  'a list of lengths': `${lines(post, host, auth, 'Content-Length: 2, 2')}{}`,
  'a signed length': `${lines(post, host, auth, 'Content-Length: +2')}{}`,
  'a negative length': `${lines(post, host, auth, 'Content-Length: -2')}{}`,
  'a hexadecimal length': `${lines(post, host, auth, 'Content-Length: 0x2')}{}`,
  'a length without end': `${lines(post, host, auth, `Content-Length: ${'9'.repeat(30)}`)}{}`,
  'two hosts': lines(get, host, 'Host: evil.example', auth),
  'the same host twice': lines(get, host, host, auth),
  'no host': lines(get, auth),
  'two credentials': lines(get, host, 'Authorization: Bearer x', auth),
  'two API keys': lines(get, host, `x-api-key: ${team.adam.key}`, 'x-api-key: other'),
  'two origins': lines(get, host, auth, 'Origin: null', 'Origin: https://x.example'),
  'chunks twice': `${lines(post, host, auth, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
  'chunks of chunks': `${lines(post, host, auth, 'Transfer-Encoding: chunked, chunked')}0\r\n\r\n`,
  'gzip under the chunks': `${lines(post, host, auth, 'Transfer-Encoding: gzip, chunked')}0\r\n\r\n`,
  'an unknown transfer coding': `${lines(post, host, auth, 'Transfer-Encoding: xchunked')}0\r\n\r\n`,
  'identity as transfer coding': `${lines(post, host, auth, 'Transfer-Encoding: identity')}${smuggled}`,
  'a tab before chunked': `${lines(post, host, auth, 'Transfer-Encoding: \x0bchunked')}0\r\n\r\n`,
  'a space before the colon': `${lines(post, host, auth, 'Transfer-Encoding : chunked')}0\r\n\r\n`,
  'a folded line': lines(get, host, auth, 'X-Folded: one\r\n two'),
  'a folded transfer coding': `${lines(post, host, auth, 'Transfer-Encoding:\r\n chunked')}0\r\n\r\n`,
  'bare line feeds': `${get}\n${host}\n${auth}\n\n`,
  'one bare line feed': `${get}\r\n${host}\nX-Other: y\r\n${auth}\r\n\r\n`,
  'a bare carriage return': `${get}\r\n${host}\r\nX-Other: a\rb\r\n${auth}\r\n\r\n`,
  'a NUL in a value': `${get}\r\n${host}\r\nX-Other: a\0b\r\n${auth}\r\n\r\n`,
  'a NUL in the path': lines('GET /api/\0tags HTTP/1.1', host, auth),
  'a blank in the path': lines('GET /api/tags /x HTTP/1.1', host, auth),
  'a header without a colon': lines(get, host, 'nonsense', auth),
  'no version': lines('GET /api/tags', host, auth),
  'version 2': lines('GET /api/tags HTTP/2.0', host, auth),
  'a lower-case method': lines('get /api/tags HTTP/1.1', host, auth),
  'a TLS hello': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
};

for (const [what, bytes] of Object.entries(ambiguous)) {
  test(`refuses ${what}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    const client = await RawClient.open(t, guard.port);
    client.send(Buffer.from(bytes, 'latin1'));
    assert.equal((await client.response()).status, 400);
    await client.closed();
    assert.equal(client.pending, '', 'what follows such a message is never answered');
    assert.equal(upstream.connections, 0);
  });
}

// 13 bytes, and what may be sent as it is.
const body = '{"model":"m"}';
const badChunks: Readonly<Record<string, string>> = {
  'a size that is no number': `zz\r\n${body}\r\n0\r\n\r\n`,
  'a bare line feed after the size': `d\n${body}\r\n0\r\n\r\n`,
  'more bytes than the size says': `d\r\n${body}}}\r\n0\r\n\r\n${smuggled}`,
  'a size beyond 64 bits': `fffffffffffffffff\r\n${body}\r\n0\r\n\r\n`,
  'a signed size': `+d\r\n${body}\r\n0\r\n\r\n`,
};

for (const [kind, requestLine] of [
  ['a body that is read', 'POST /api/chat HTTP/1.1'],
  ['a body that flows by', post],
] as const) {
  for (const [what, chunks] of Object.entries(badChunks)) {
    test(`a chunk with ${what} ends the request: ${kind}`, async (t) => {
      const upstream = await startFakeOllama(t);
      const guard = await startGuard(t, upstream);
      const client = await RawClient.open(t, guard.port);
      client.send(`${lines(requestLine, host, auth, 'Transfer-Encoding: chunked')}${chunks}`);
      await client.closed();
      assert.ok(!client.pending.startsWith('HTTP/1.1 2'));
      assert.deepEqual(upstream.seen, []);
      await upstream.until(() => upstream.open === 0);
    });
  }

  test(`chunks without a fault pass: ${kind}`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream);
    const client = await RawClient.open(t, guard.port);
    client.send(`${lines(requestLine, host, auth, 'Transfer-Encoding: chunked')}d\r\n${body}\r\n0\r\n\r\n`);
    assert.equal((await client.response()).status, 200);
    assert.equal(upstream.requests[0]?.text, body);
  });
}

test('pipelined requests are answered in order, each by its own credential', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const client = await RawClient.open(t, guard.port);
  client.send({ path: '/api/tags', headers: { authorization: team.mia.bearer } });
  client.send({ path: '/api/ps' });
  client.send({ path: '/api/version', headers: { authorization: team.mia.bearer } });
  const statuses = [];
  for (let i = 0; i < 3; i++) statuses.push((await client.response()).status);
  assert.deepEqual(statuses, [200, 401, 200]);
  assert.deepEqual(upstream.seen.toSorted(), ['GET /api/tags', 'GET /api/version']);
});
