import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Pacer } from '../../../src/demo/pacer.ts';
import { demoFor, ENDLESS, openStream, post, until } from './support.ts';

const CHAT = { model: 'demo', messages: [{ role: 'user', content: 'hello' }] };

const STREAMS = [
  ['/api/chat', CHAT],
  ['/api/generate', { model: 'demo', prompt: 'hello' }],
  ['/v1/chat/completions', { ...CHAT, stream: true }],
  ['/v1/completions', { model: 'demo', prompt: 'hello', stream: true }],
  ['/v1/responses', { model: 'demo', input: 'hello', stream: true }],
  ['/v1/messages', { ...CHAT, max_tokens: 100, stream: true }],
  ['/api/pull', { model: 'llama3.2' }],
] as const;

for (const [path, body] of STREAMS) {
  test(`${path} stops generating when its client leaves`, async (t) => {
    const demo = await demoFor(t, ENDLESS);
    const response = await openStream(demo, path, body);
    assert.equal(demo.generating, 1);
    response.destroy();
    await until(() => demo.generating === 0);
  });
}

test('an answer that is not streamed stops being made when its client leaves', async (t) => {
  const demo = await demoFor(t, { firstTokenDelayMs: 2 ** 40 });
  const leave = new AbortController();
  const asked = post(demo, '/api/chat', { ...CHAT, stream: false }, { signal: leave.signal });
  await until(() => demo.generating === 1);
  leave.abort();
  await assert.rejects(asked);
  await until(() => demo.generating === 0);
});

test('nothing is sent before the first token, not even the head', async (t) => {
  const demo = await demoFor(t, { firstTokenDelayMs: 2 ** 40 });
  const opened = openStream(demo, '/api/chat', CHAT).then(
    () => 'head',
    () => 'cut off',
  );
  await until(() => demo.generating === 1);
  await demo.stop();
  assert.equal(await opened, 'cut off');
});

test('the first token comes at once, before the next is made', async (t) => {
  const demo = await demoFor(t, ENDLESS);
  const response = await openStream(demo, '/api/chat', CHAT);
  const [chunk] = (await once(response, 'data')) as [Buffer];
  assert.equal(chunk.toString().trimEnd().split('\n').length, 1);
  response.destroy();
});

test('a long answer comes whole and in order, whatever its speed', async (t) => {
  for (const tokensPerSecond of [0, Number.POSITIVE_INFINITY, 100_000]) {
    const demo = await demoFor(t, { tokensPerSecond, tokens: 5_000 });
    const { text } = await post(demo, '/api/generate', { model: 'demo', prompt: 'x' });
    const whole = await post(demo, '/api/generate', { model: 'demo', prompt: 'x', stream: false });
    const parts = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).response);
    assert.equal(parts.length, 5_001);
    assert.equal(parts.join(''), JSON.parse(whole.text).response);
    assert.equal(demo.generating, 0);
  }
});

test('nothing is made for a client that does not read, until it reads again', async (t) => {
  const pacer = new Pacer({ tokensPerSecond: 0, firstTokenDelayMs: 0 });
  const record = 'x'.repeat(65_536);
  let made = 0;
  const server = createServer((_, res) => {
    void pacer.stream(res, Number.MAX_SAFE_INTEGER, () => {
      made++;
      return record;
    });
  }).listen(0, '127.0.0.1');
  t.after(() => server.close().closeAllConnections());
  await once(server, 'listening');

  const [response] = (await once(
    get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }),
    'response',
  )) as [IncomingMessage];
  for (let turn = 0; turn < 2_000; turn++) await setImmediate();
  assert.ok(made < 500, `${made} records were made, though what the sockets hold is far less`);
  response.resume();
  await until(() => made > 1_000);
  response.destroy();
  await until(() => pacer.running === 0);
});

test('a thousand slow streams run side by side', async (t) => {
  const demo = await demoFor(t, ENDLESS);
  const streams = await Promise.all(Array.from({ length: 1_000 }, () => openStream(demo, '/api/chat', CHAT)));
  assert.equal(demo.generating, 1_000);
  for (const stream of streams) stream.destroy();
  await until(() => demo.generating === 0);
});
