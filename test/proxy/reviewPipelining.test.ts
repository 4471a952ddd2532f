/** One connection must not open as many connections to Ollama as it can pipeline requests. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { it } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

it('a ninth request on a connection that is still being answered is refused', async (t) => {
  const demo = await startDemoOllama({ tokensPerSecond: 50, tokens: 10 });
  t.after(() => demo.stop());
  const guard = await startGuard(t, demo.url);
  const socket = connect(guard.port, '127.0.0.1');
  t.after(() => socket.destroy());
  const body = JSON.stringify({ model: 'demo', prompt: 'Hello' });
  const head = `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${team.mia.bearer}`;
  const request = `${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  socket.write(request.repeat(20));
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 8);
  assert.match(text, /HTTP\/1\.1 429/);
});
