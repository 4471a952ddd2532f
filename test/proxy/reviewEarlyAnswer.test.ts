/** Ollama may answer before it has read a body, and close: the sender must still get the answer, and nobody wait on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { it, type TestContext } from 'node:test';
import { blobPath } from '../support/bodies.ts';
import { startGuard } from '../support/guard.ts';
import { type Person, team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const length = 20 * 1024 * 1024;

/** An upstream that answers the first bytes of a request, and never reads on. */
async function startHasty(t: TestContext, close: boolean) {
  const taken = Promise.withResolvers<Socket>();
  const upstream = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.pause();
      socket.write(`HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n${close ? 'Connection: close\r\n' : ''}\r\nno`);
      taken.resolve(socket);
    });
    t.after(() => socket.destroy());
  }).listen(0, '127.0.0.1');
  t.after(() => upstream.close());
  await once(upstream, 'listening');
  return { url: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`, taken: taken.promise };
}

const kinds: readonly (readonly [kind: string, path: string, person: Person, body: Buffer])[] = [
  ['an upload', blobPath, team.adam, Buffer.alloc(length)],
  ['a body that is checked', '/api/generate', team.mia, Buffer.from(`{"model":"demo"${'}'.padStart(length - 15)}`)],
];

for (const [kind, path, person, body] of kinds) {
  for (const close of [true, false]) {
    const how = close ? 'closing' : 'keeping its connection';
    it(`a client that writes all of ${kind} before it reads gets an early answer (Ollama ${how})`, async (t) => {
      const { url, taken } = await startHasty(t, close);
      const guard = await startGuard(t, url);
      const client = await RawClient.open(t, guard.port, { paused: true });
      const { socket } = client;
      const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${person.bearer}`;
      socket.write(`${head}\r\nContent-Length: ${length}\r\n\r\n`);
      await new Promise((resolve) => socket.write(body, resolve));
      socket.resume();
      const { status, text } = await client.response();
      assert.deepEqual([status, text], [400, 'no']);
      // What Ollama does not read is not kept for it: its connection ends, with most of the body unsent.
      const atOllama = await taken;
      atOllama.resume();
      await once(atOllama, 'close');
      assert.ok(atOllama.bytesRead < length, `${atOllama.bytesRead} bytes`);
    });
  }
}
