/** Found in reviews: whoever leaves at the right moment must not leave anything behind that is counted for ever. */
import assert from 'node:assert/strict';
import { OutgoingMessage } from 'node:http';
import { test } from 'node:test';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { ListedModel } from '../../src/guard/policy/lists.ts';
import { ask } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const chat = ask(team.mia, '/api/chat', { model: 'demo', messages: [] });

test('one who leaves while it is asked which models run elsewhere is not under way for ever', async (t) => {
  const asked = Promise.withResolvers<void>();
  const list = Promise.withResolvers<readonly ListedModel[]>();
  const listModels = () => {
    asked.resolve();
    return list.promise;
  };
  const guard = await startGuard(t, await startFakeOllama(t), { listModels });
  guard.guard.watchActivity(true);
  const client = await RawClient.open(t, guard.port);
  client.send(chat);
  await asked.promise;
  client.socket.destroy();
  // The guard has seen that it left when it has answered whoever came after.
  await guard.call({ path: '/_guard/health' });
  await guard.call({ path: '/_guard/health' });
  list.resolve([]);
  await turnOfTheLoop();
  assert.equal((await guard.call(chat)).status, 200);
  const { active } = await guard.activity(({ done }) => done.length > 0);
  assert.deepEqual(active, []);
});

/** As Node 22 has it: a response that waits behind another on its connection is not closed along with that. */
function destroyAsBefore24(t: { readonly mock: typeof import('node:test').mock }): void {
  const { destroy } = OutgoingMessage.prototype;
  t.mock.method(OutgoingMessage.prototype, 'destroy', function (this: OutgoingMessage, error?: Error) {
    if (this.destroyed || this.socket !== null) return destroy.call(this, error);
    this.destroyed = true;
    return this.once('socket', (socket) => socket.destroy(error));
  });
}

for (const [node, prepare] of [
  ['this Node', () => {}],
  ['Node 22', destroyAsBefore24],
] as const) {
  test(`what pipelined requests hold is given back when their connection ends (${node})`, async (t) => {
    prepare(t);
    const upstream = await startFakeOllama(t, () => {});
    const policy = { roles: { member: { limits: { concurrentRequests: 3 } } } };
    const guard = await startGuard(t, upstream, { config: { policy } });
    guard.guard.watchActivity(true);
    const client = await RawClient.open(t, guard.port);
    for (let request = 0; request < 3; request += 1) client.send(chat);
    await guard.activity(({ active }) => active.length === 3);
    assert.equal((await guard.call(chat)).status, 429);
    client.socket.destroy();
    await guard.activity(({ active, done }) => active.length === 0 && done.length === 3);
    upstream.answer = (reply) => reply.json({ done: true });
    const after = await Promise.all([guard.call(chat), guard.call(chat), guard.call(chat)]);
    assert.deepEqual(
      after.map(({ status }) => status),
      [200, 200, 200],
    );
  });
}
