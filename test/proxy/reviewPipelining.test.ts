/** One connection must not open as many connections to Ollama as it can pipeline requests. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { it } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { ask } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient, requestBytes } from '../support/rawClient.ts';

it('a ninth request on a connection that is still being answered is refused', async (t) => {
  const demo = await startDemoOllama({ tokensPerSecond: 50, tokens: 10 });
  t.after(() => demo.stop());
  const guard = await startGuard(t, demo.url);
  const client = await RawClient.open(t, guard.port);
  const body = JSON.stringify({ model: 'demo', prompt: 'Hello' });
  const head = `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${team.mia.bearer}`;
  const request = `${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  client.send(request.repeat(20));
  await client.closed();
  const text = client.pending;
  assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 8);
  assert.match(text, /HTTP\/1\.1 429/);
});

// Refusals that pile up would keep the guard from reading on, and so from seeing that a client has left.
it('a flood of requests ends its connection, and what was under way on it', { timeout: 8_000 }, async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream);
  const host = `127.0.0.1:${guard.port}`;
  const client = connect(guard.port, '127.0.0.1').on('error', () => {});
  t.after(() => client.destroy());
  client.write(requestBytes(host, ask(team.mia, '/api/chat', { model: 'm', messages: [] })));
  const reply = await upstream.reply(0);
  client.write(`GET /_guard/health HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(20_000));
  await reply.closed();
});

it('however many requests a stranger pipelines, Node has nothing to warn of', async (t) => {
  const demo = await startDemoOllama();
  t.after(() => demo.stop());
  const guard = await startGuard(t, demo.url);
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  const client = await RawClient.open(t, guard.port);
  const body = JSON.stringify({ model: 'demo', prompt: 'Hello' });
  const head = `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${team.mia.bearer}`;
  client.send(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`.repeat(8));
  for (let i = 0; i < 8; i += 1) assert.equal((await client.response()).status, 200);
  for (const host of ['localhost', 'foreign.example']) {
    const stranger = await RawClient.open(t, guard.port);
    stranger.send(`GET /api/version HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(40));
    await stranger.has('HTTP/1.1 4');
    stranger.socket.destroy();
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(warnings, []);
});
