/**
 * A body as large as an image may be holds up no stream: the thread of the guard is in no turn of its event loop busy with
 * it for longer than 20 ms, from the first byte to the last one that is sent to Ollama.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { MiB } from '../../src/guard/config.ts';
import type { PolicyDocument } from '../../src/guard/policy/policyDocument.ts';
import { computed } from '../support/computed.ts';
import { startGuard } from '../support/guard.ts';
import type { Upload } from '../support/largeUpload.ts';
import { team } from '../support/people.ts';

/** Milliseconds of computing. */
const longest = 20;
const imageBytes = 20 * MiB;

/** Measures how long this thread computes in each turn of its event loop, until the test is over. */
function watchTurns(t: TestContext) {
  let most = 0;
  let before = computed();
  let next = setImmediate(function turn() {
    const now = computed();
    most = Math.max(most, now - before);
    before = now;
    next = setImmediate(turn);
  });
  t.after(() => clearImmediate(next));
  return {
    /** The longest turn since this was called before, in milliseconds. */
    takeLongest(): number {
      const longestTurn = most;
      most = 0;
      return longestTurn;
    },
  };
}

/** With limits and clamps the body is edited on its way. */
const policies: Readonly<Record<string, PolicyDocument>> = {
  'as it is': {},
  'with a bound put in': { roles: { member: { limits: { tokensPerDay: 1e9 }, clamps: { outputTokens: 100 } } } },
};

const image = { head: '{"model":"demo","messages":[{"role":"user","content":"hi","images":["', tail: '"]}]}' };

for (const [how, policy] of Object.entries(policies)) {
  test(`20 MiB of an image, sent ${how}, hold the guard's thread for no more than ${longest} ms at a time`, async (t) => {
    const worker = new Worker(new URL('../support/largeUpload.ts', import.meta.url));
    t.after(() => worker.terminate());
    const [{ port }] = await once(worker, 'message');
    const guard = await startGuard(t, `http://127.0.0.1:${port}`, { config: { policy } });
    const turns = watchTurns(t);
    const times: number[] = [];
    // Once in a while garbage is collected, and code is compiled, which is no part of it.
    for (let i = 0; i < 5; i++) {
      turns.takeLongest();
      const headers = { authorization: team.mia.bearer, 'content-type': 'application/json' };
      const url = `http://127.0.0.1:${guard.port}/api/chat`;
      worker.postMessage({ url, headers, ...image, imageBytes } satisfies Upload);
      const [{ status, bytes }] = await once(worker, 'message');
      assert.equal(status, 200);
      assert.ok(bytes >= imageBytes, `${bytes} bytes`);
      times.push(turns.takeLongest());
    }
    assert.ok(Math.min(...times) <= longest, `${times} ms`);
  });
}
