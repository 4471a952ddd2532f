import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBody } from '../../../src/guard/body/readBody.ts';
import { MiB } from '../../../src/guard/config.ts';
import { chunk } from '../../support/http1.ts';
import { RawClient, request } from '../../support/rawClient.ts';
import { watchReading } from '../../support/reading.ts';
import { startBodyServer } from './server.ts';

const KiB = 1024;

const code = (text: string): unknown => (JSON.parse(text) as { error: { code: unknown } }).error.code;

const post = (body: string | Buffer, headers: Readonly<Record<string, string>> = {}) => ({
  method: 'POST',
  path: '/api/chat',
  headers,
  body,
});

test('a body is taken as it was sent, with or without a length', async (t) => {
  const server = await startBodyServer(t, readBody);
  const body = `{"model":"llama3.2:1b","prompt":"${'é'.repeat(100_000)}"}`;
  assert.equal((await request(t, server.port, post(body))).text, body);

  const client = await RawClient.open(t, server.port);
  client.send('POST /api/chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  for (let at = 0; at < body.length; at += 10_000) client.send(chunk(body.slice(at, at + 10_000)));
  client.send('0\r\n\r\n');
  assert.equal((await client.response()).text, body);
  const [first] = server.outcomes;
  assert.ok(first !== undefined && 'facts' in first);
  assert.equal(first.facts.values.get('model')?.value, 'llama3.2:1b');
  assert.equal(first.length, Buffer.byteLength(body));
});

test('no body is not JSON, whether it has no length or none of it', async (t) => {
  const server = await startBodyServer(t, readBody);
  assert.equal(code((await request(t, server.port, post(''))).text), 'bad-json');
  assert.equal(code((await request(t, server.port, { method: 'POST' })).text), 'bad-json');
});

test('a refusal comes before the rest of the body, which is thrown away', async (t) => {
  const server = await startBodyServer(t, readBody);
  const client = await RawClient.open(t, server.port);
  client.send('POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{"model":"a","Model":"b"');
  assert.equal(code((await client.response()).text), 'ambiguous-json');
  client.send('x'.repeat(100_000 - '{"model":"a","Model":"b"'.length));
  client.send(post('{"model":"a"}'));
  assert.equal((await client.response()).text, '{"model":"a"}', 'the connection goes on');
});

test('a body in chunks that grows too large is refused, and one that says so before it is read', async (t) => {
  const server = await startBodyServer(t, readBody, { maxBytes: 64 * KiB });
  const client = await RawClient.open(t, server.port);
  client.send('POST /api/chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  client.send(chunk(`{"prompt":"${'a'.repeat(65 * KiB)}`));
  const refused = await client.response();
  assert.deepEqual([refused.status, code(refused.text)], [413, 'body-too-large']);

  const asking = await RawClient.open(t, server.port);
  asking.send('POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n');
  assert.equal((await asking.response()).status, 413);
  assert.equal(server.held, 0);
});

test('a client that asks first is told to go on, unless it speaks HTTP/1.0', async (t) => {
  const server = await startBodyServer(t, readBody);
  const client = await RawClient.open(t, server.port);
  client.send('POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n');
  assert.equal((await client.response()).status, 100);
  client.send('{}');
  assert.equal((await client.response()).text, '{}');

  const old = await RawClient.open(t, server.port);
  old.send('POST /api/chat HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}');
  assert.equal((await old.response()).status, 200);
});

test('a client that leaves before the end is nobody’s body', async (t) => {
  const server = await startBodyServer(t, readBody);
  const client = await RawClient.open(t, server.port);
  client.send('POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"model":');
  await server.until(() => server.held > 0);
  client.socket.destroy();
  await server.until(() => server.outcomes.length === 1 && server.held === 0);
  assert.deepEqual(server.outcomes, [undefined]);
});

test('what one user’s bodies take is bounded while others’ are read', async (t) => {
  const server = await startBodyServer(t, readBody, {
    budget: { total: 2 * MiB, reserve: { total: KiB, perHolder: 100 } },
  });
  const begin = `{"prompt":"${'a'.repeat(MiB - 100)}`;
  const client = await RawClient.open(t, server.port);
  client.send('POST /api/chat HTTP/1.1\r\nHost: a\r\nx-user: anna\r\nTransfer-Encoding: chunked\r\n\r\n');
  client.send(chunk(begin));
  await server.until(() => server.held === begin.length);
  const refused = await request(t, server.port, post(`{"prompt":"${'a'.repeat(200)}"}`, { 'x-user': 'anna' }));
  assert.deepEqual([refused.status, code(refused.text)], [429, 'too-many-bodies']);
  assert.equal((await request(t, server.port, post('{"a":1}', { 'x-user': 'ben' }))).status, 200);
  client.send(`${chunk('"}')}0\r\n\r\n`);
  assert.equal((await client.response()).status, 200);
  await server.until(() => server.held === 0);
});

test('while a body waits for its turn, no more of it is taken off its socket than came at once', async (t) => {
  const server = await startBodyServer(t, readBody);
  let now = performance.now();
  t.mock.method(performance, 'now', () => now);
  let most = 0;
  const reading = watchReading(t, () => {
    now += 1;
    most = Math.max(most, server.held - reading.bytes);
  });
  const body = `{"prompt":"${'a'.repeat(100_000)}"}`;
  const cut = [...body].map((byte) => `1\r\n${byte}\r\n`).join('');
  const sent = await request(t, server.port, {
    ...post(`${cut}0\r\n\r\n`),
    headers: { 'transfer-encoding': 'chunked' },
  });
  assert.equal(sent.text, body);
  // Node reads 64 KiB at once.
  assert.ok(most <= (64 * KiB) / 6 + 1, `${most} of ${body.length} bytes`);
});
