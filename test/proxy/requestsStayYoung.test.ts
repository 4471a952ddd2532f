import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: (options?: { readonly type: 'minor' }) => void = runInNewContext('gc');

const atOnce = 16;
const rounds = 60;

/** What V8 takes for objects that live long, in bytes. */
function oldBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? 0;
}

// A table that a Map, a Set or a WeakMap has outgrown keeps what was in it, and leads on to the next; see `Roster`.
test('requests that are over are collected while they are young', async (t) => {
  // One that remembers nothing.
  const ollama = createServer((_req, res) => void res.end('{"version":"0"}')).listen(0, '127.0.0.1');
  await once(ollama, 'listening');
  t.after(() => ollama.close().closeAllConnections());
  const { port } = await startGuard(t, `http://127.0.0.1:${(ollama.address() as AddressInfo).port}`);
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  t.after(() => agent.destroy());
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      const headers = { authorization: team.mia.bearer };
      request({ port, path: '/api/version', agent, headers }, (answer) => answer.resume().on('end', resolve))
        .on('error', reject)
        .end();
    });
  const load = async () => {
    for (let round = 0; round < rounds; round += 1) {
      await Promise.all(Array.from({ length: atOnce }, ask));
      // As often as it would happen by itself to a guard that is busy.
      if (round % 3 === 0) collectGarbage({ type: 'minor' });
    }
  };
  await load();
  collectGarbage();
  await load();
  const before = oldBytes();
  await load();
  // What this test itself keeps of each is about 3,700 bytes.
  const each = (oldBytes() - before) / (rounds * atOnce);
  assert.ok(each < 6_000, `${each.toFixed(0)} bytes of each request grew old`);
});
