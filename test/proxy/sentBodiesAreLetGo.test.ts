import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const MiB = 1024 * 1024;
const streams = 4;

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** An Ollama that reads what it is sent, keeps none of it, and goes on answering for as long as somebody listens. */
async function startForgetful(t: { after(fn: () => unknown): void }): Promise<string> {
  const server = createServer(async (req, res) => {
    for await (const _ of req);
    if (req.url !== '/api/generate') res.end('{"models":[]}');
    else res.writeHead(200, { 'content-type': 'application/x-ndjson' }).write('{"response":"a"}\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('an answer that goes on holds none of the body that was sent', async (t) => {
  const { port } = await startGuard(t, await startForgetful(t));
  const body = Buffer.from(JSON.stringify({ model: 'demo', prompt: 'x'.repeat(4 * MiB) }));
  const held = () => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  const before = held();
  for (let stream = 0; stream < streams; stream += 1) {
    const client = await RawClient.open(t, port);
    client.send({ method: 'POST', path: '/api/generate', headers: { authorization: team.mia.bearer }, body });
    await client.has('"response"');
  }
  // What is on its way through sockets is let go a few turns of the event loop later.
  for (let tries = 0; tries < 100 && held() - before >= body.length; tries += 1) await sleep(20);
  const growth = held() - before;
  assert.ok(growth < body.length, `${growth} bytes of ${streams * body.length} are held`);
});
