// SEC-10, SEC-70: a limit that fits images, measured in bytes that arrive, and none for blobs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const maxBodyBytes = 1_000;
const config = { maxBodyBytes };
const headers = { authorization: team.adam.bearer };
const path = '/v1/chat/completions';
const blob = `/api/blobs/sha256:${'ab'.repeat(32)}`;
const last = '0\r\n\r\n';
const chunkedHeaders = { ...headers, 'transfer-encoding': 'chunked' };

/** A body of so many bytes that may be sent, whatever its size. */
const bodyOf = (bytes: number): string => `{"model":"m"${'}'.padStart(bytes - '{"model":"m"'.length)}`;

/** A form of so many bytes that may be sent. */
function formOf(bytes: number): string {
  const disposition = (name: string) => `Content-Disposition: form-data; name="${name}"`;
  const fields = `--b\r\n${disposition('model')}\r\n\r\nm\r\n--b\r\n${disposition('file')}; filename="a"\r\n\r\n`;
  const end = '\r\n--b--\r\n';
  return fields + 'x'.repeat(bytes - fields.length - end.length) + end;
}

for (const [kind, target, type, make] of [
  ['JSON', path, 'application/json', bodyOf],
  ['a form', '/v1/audio/transcriptions', 'multipart/form-data; boundary=b', formOf],
] as const) {
  test(`${kind} of exactly the limit passes, one byte more is 413: by its length`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { config });
    const post = { method: 'POST', path: target, headers: { ...headers, 'content-type': type } };
    assert.equal((await guard.call({ ...post, body: make(maxBodyBytes) })).status, 200);
    const beyond = await guard.call({ ...post, body: make(maxBodyBytes + 1) });
    assert.equal(beyond.status, 413);
    assert.equal(JSON.parse(beyond.text).error.code, 'body-too-large');
    assert.equal(upstream.requests.length, 1);
  });

  test(`${kind} of exactly the limit passes, one byte more is 413: in chunks`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { config });
    const post = { method: 'POST', path: target, headers: { ...chunkedHeaders, 'content-type': type } };
    const inHalves = (text: string) =>
      Buffer.concat([chunk(text.slice(0, maxBodyBytes / 2)), chunk(text.slice(maxBodyBytes / 2)), Buffer.from(last)]);
    assert.equal((await guard.call({ ...post, body: inHalves(make(maxBodyBytes)) })).status, 200);
    assert.equal((await guard.call({ ...post, body: inHalves(make(maxBodyBytes + 1)) })).status, 413);
    assert.equal(upstream.requests.length, 1);
  });
}

test('a body is refused as soon as it grows beyond the limit, and Ollama never hears of it', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config });
  const client = await RawClient.open(t, guard.port);
  client.send({ method: 'POST', path, headers: chunkedHeaders });
  client.send(chunk(bodyOf(maxBodyBytes).slice(0, -1)));
  client.send(chunk('  '));
  assert.equal((await client.response()).status, 413);
  assert.equal(upstream.connections, 0);
});

test('a blob may be of any size', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { config });
  const body = Buffer.alloc(300_000, 'x');
  assert.equal((await guard.call({ method: 'POST', path: blob, headers, body })).status, 200);
  const chunks = Buffer.concat([chunk(body), Buffer.from(last)]);
  assert.equal((await guard.call({ method: 'POST', path: blob, headers: chunkedHeaders, body: chunks })).status, 200);
  assert.deepEqual(
    upstream.requests.map((request) => request.body.length),
    [body.length, body.length],
  );
});

test('a blob flows while it comes and is not collected first', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const client = await RawClient.open(t, guard.port);
  client.send({ method: 'POST', path: blob, headers: { ...headers, 'content-length': '8' } });
  client.send('half');
  await upstream.until(() => upstream.heads.length === 1);
  assert.equal(upstream.requests.length, 0);
  client.send('half');
  assert.equal((await client.response()).status, 200);
});

test('a body where none belongs is 400', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const cases = [
    ['GET', '/api/tags'],
    ['GET', '/'],
    ['HEAD', '/api/version'],
    ['HEAD', `/api/blobs/sha256:${'0'.repeat(64)}`],
  ] as const;
  for (const [method, bodiless] of cases) {
    assert.equal(
      (await guard.call({ method, path: bodiless, headers, body: '{}' })).status,
      400,
      `${method} ${bodiless}`,
    );
    const body = `2\r\n{}\r\n${last}`;
    assert.equal((await guard.call({ method, path: bodiless, headers: chunkedHeaders, body })).status, 400);
  }
  assert.equal((await guard.call({ headers: { ...headers, 'content-length': '0' } })).status, 200);
  assert.equal(upstream.requests.length, 1);
});
