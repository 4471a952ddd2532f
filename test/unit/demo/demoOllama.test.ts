import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type ObservedRequest, startDemoOllama } from '../../../src/demo/demoOllama.ts';
import { demoFor, ENDLESS, openStream, post } from './support.ts';

const CHAT = { model: 'demo', messages: [{ role: 'user', content: 'hello' }] };

test('a request is observed as it arrived', async (t) => {
  const seen: ObservedRequest[] = [];
  const demo = await demoFor(t, { observe: (request) => seen.push(request) });
  await fetch(`${demo.url}/api/%74ags?a=%62`, { headers: { 'X-Probe': 'Yes' } });
  assert.partialDeepStrictEqual(seen, [{ method: 'GET', path: '/api/%74ags?a=%62', headers: { 'x-probe': 'Yes' } }]);
  assert.ok(seen[0]?.rawHeaders.some((value) => value.toLowerCase() === 'x-probe'));
});

test('stop cuts off what runs, frees the port, and may be called again', async (t) => {
  const demo = await demoFor(t, ENDLESS);
  const response = await openStream(demo, '/api/chat', CHAT);
  const cut = new Promise((resolve) => response.once('close', resolve));
  await Promise.all([demo.stop(), demo.stop()]);
  await cut;
  assert.equal(response.complete, false);
  assert.equal(demo.generating, 0);
  const again = await demoFor(t, { port: demo.port });
  assert.equal(again.port, demo.port);
});

test('a port in use is an error', async (t) => {
  const demo = await demoFor(t);
  await assert.rejects(startDemoOllama({ port: demo.port }), { code: 'EADDRINUSE' });
});

test('an option that is no count is an error', async () => {
  await assert.rejects(startDemoOllama({ tokensPerSecond: -1 }), RangeError);
  await assert.rejects(startDemoOllama({ firstTokenDelayMs: Number.NaN }), RangeError);
  await assert.rejects(startDemoOllama({ tokens: 1.5 }), RangeError);
});

test('a JSON body over 64 MiB is refused', async (t) => {
  const demo = await demoFor(t);
  const { status, text } = await post(demo, '/api/chat', ' '.repeat(64 * 1_024 * 1_024 + 1));
  assert.equal(status, 413);
  assert.deepEqual(JSON.parse(text), { error: 'request body too large' });
});

test('a client that leaves in the middle of its request does no harm', async (t) => {
  const demo = await demoFor(t);
  const socket = connect(demo.port, '127.0.0.1');
  await new Promise((resolve) => {
    socket.write('POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"model"', resolve);
  });
  socket.destroy();
  assert.equal((await post(demo, '/api/chat', CHAT)).status, 200);
});
