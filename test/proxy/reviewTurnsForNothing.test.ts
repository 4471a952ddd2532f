/** A turn is for what Ollama works on: not for an answer that cannot leave, nor for one that nobody reads. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ask, get } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team, withPerson } from '../support/people.ts';
import { untilQueue } from '../support/queue.ts';
import { RawClient } from '../support/rawClient.ts';

const { users, person: noa } = withPerson(team.users, 'noa', 'member');
const last = '{"done":true,"prompt_eval_count":1,"eval_count":1}\n';
const chat = (content: string) => ({ model: 'x', messages: [{ role: 'user', content }] });

it('a request behind another on its connection takes no turn until its answer can leave', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream, { users, config: { policy: { queue: { concurrency: 2 } } } });
  const greedy = await RawClient.open(t, guard.port);
  greedy.send(ask(team.mia, '/api/chat', chat('long')));
  for (let i = 0; i < 5; i++) greedy.send(ask(team.mia, '/api/chat', chat('behind')));
  await upstream.reply(0);
  const colleague = guard.call(ask(noa, '/api/chat', chat('colleague')));
  const reply = await upstream.reply(1);
  assert.match(reply.request.text, /colleague/);
  reply.text(last);
  assert.equal((await colleague).status, 200);
  (await upstream.reply(0)).text(last);
  for (let number = 2; number < 7; number++) (await upstream.reply(number)).text(last);
  for (let i = 0; i < 6; i++) assert.equal((await greedy.response()).status, 200);
  await untilQueue(guard, ({ running }) => running === 0);
});

it('nor does one behind a request that takes no turn, and none is left when the connection goes', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream, { users, config: { policy: { queue: { concurrency: 1 } } } });
  const greedy = await RawClient.open(t, guard.port);
  greedy.send(get(team.mia, '/api/version'));
  for (let i = 0; i < 3; i++) greedy.send(ask(team.mia, '/api/chat', chat('behind')));
  await upstream.reply(0);
  const first = guard.call(ask(noa, '/api/chat', chat('colleague')));
  (await upstream.reply(1)).text(last);
  assert.equal((await first).status, 200);
  greedy.socket.destroy();
  const second = guard.call(ask(noa, '/api/chat', chat('colleague')));
  const reply = await upstream.reply(2);
  assert.match(reply.request.text, /colleague/);
  reply.text(last);
  assert.equal((await second).status, 200);
  await untilQueue(guard, ({ running, waiting }) => running + waiting === 0);
});

it('an answer that waits for its reader for ten seconds lets another run beside it, and none of its own user', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream, { users, config: { policy: { queue: { concurrency: 1 } } } });
  const slow = await RawClient.open(t, guard.port);
  slow.socket.pause();
  slow.send(ask(team.mia, '/api/embed', { model: 'x', input: 'hi' }));
  (await upstream.reply(0)).text(Buffer.alloc(64 * 1024 * 1024, ' '), 'application/json');
  const own = guard.call(ask(team.mia, '/api/chat', chat('own')));
  await untilQueue(guard, ({ waiting }) => waiting === 1);
  for (const [number, name] of ['colleague', 'colleague again'].entries()) {
    const colleague = guard.call(ask(noa, '/api/chat', chat(name)));
    const reply = await upstream.reply(number + 1);
    assert.match(reply.request.text, /colleague/);
    reply.text(last);
    assert.equal((await colleague).status, 200);
  }
  slow.socket.destroy();
  (await upstream.reply(3)).text(last);
  assert.equal((await own).status, 200);
  await untilQueue(guard, ({ running, waiting }) => running + waiting === 0);
});
