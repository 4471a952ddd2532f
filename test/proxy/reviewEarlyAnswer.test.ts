/** Ollama may answer before it has read an upload, and close: the sender must still get the answer. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { it } from 'node:test';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

it('a client that writes all of a large body before it reads gets an early answer', async (t) => {
  const upstream = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.pause();
      socket.write('HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => upstream.once('listening', resolve));
  const address = upstream.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const guard = await startGuard(t, `http://127.0.0.1:${port}`);
  t.after(() => upstream.close());
  const client = await RawClient.open(t, guard.port, { paused: true });
  const { socket } = client;
  const length = 20 * 1024 * 1024;
  const head = `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${team.mia.bearer}`;
  socket.write(`${head}\r\nContent-Length: ${length}\r\n\r\n`);
  await new Promise((resolve) => socket.write(Buffer.alloc(length), resolve));
  socket.resume();
  assert.equal((await client.response()).status, 400);
});
