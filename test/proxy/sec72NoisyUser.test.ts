// SEC-72: `OLLAMA_MAX_QUEUE` does not bound a loaded model (ollama#7758), and one noisy user starves all others.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { PolicyDocument } from '../../src/guard/policy/policyDocument.ts';
import { ask } from '../support/asks.ts';
import { type FakeOllama, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { type Person, team, withPerson } from '../support/people.ts';
import { queueAt, untilQueue } from '../support/queue.ts';
import { RawClient } from '../support/rawClient.ts';

const noa = withPerson(team.users, 'noa', 'member');
const owner = withPerson(noa.users, 'olga', 'owner');
const { users } = owner;

interface Scene {
  readonly upstream: FakeOllama;
  readonly guard: TestGuard;
  /** Sends a request, and waits until it runs, waits or is refused. */
  send(person: Person, maxTokens?: number): Promise<RawClient>;
  /** Whose turn it was, in order. */
  turns(): readonly string[];
  /** Ends the request of this number at Ollama, having used so many tokens. */
  finish(number: number, tokens?: number): Promise<void>;
}

async function scene(t: TestContext, policy: PolicyDocument): Promise<Scene> {
  const upstream = await startFakeOllama(t, () => {});
  const guard = await startGuard(t, upstream, { users, config: { policy } });
  return {
    upstream,
    guard,
    send: async (person, maxTokens = 100) => {
      const before = await queueAt(guard);
      const client = await RawClient.open(t, guard.port);
      const options = { num_predict: maxTokens };
      client.send(ask(person, '/api/generate', { model: person.name, prompt: 'hi', stream: false, options }));
      const { running, waiting } = before;
      await untilQueue(guard, (view) => view.running + view.waiting > running + waiting || client.pending !== '');
      return client;
    },
    turns: () => upstream.requests.map(({ text }) => JSON.parse(text).model as string),
    finish: async (number, tokens = 100) => {
      const reply = await upstream.reply(number);
      reply.json({ done: true, prompt_eval_count: 1, eval_count: tokens });
    },
  };
}

test('SEC-72: with fifty requests of one user waiting, a colleague’s one is next', async (t) => {
  const { send, turns, finish, upstream } = await scene(t, { queue: { concurrency: 1 } });
  for (let number = 0; number < 51; number += 1) await send(team.mia);
  await send(noa.person);
  await finish(0);
  await upstream.reply(1);
  await finish(1);
  await upstream.reply(2);
  assert.deepEqual(turns(), ['mia', 'noa', 'mia']);
});

test('SEC-72: turns go by tokens: who asks for much waits for who asks for little', async (t) => {
  const { send, turns, finish, upstream } = await scene(t, { queue: { concurrency: 1 } });
  await send(team.adam);
  for (let number = 0; number < 3; number += 1) await send(team.mia, 900);
  for (let number = 0; number < 9; number += 1) await send(noa.person, 90);
  for (let number = 0; number < 13; number += 1) {
    await upstream.reply(number);
    await finish(number, turns().at(-1) === 'mia' ? 900 : 90);
  }
  // Nine small requests came to fewer tokens than two large ones did.
  const last = turns().lastIndexOf('noa');
  assert.ok(
    turns()
      .slice(0, last)
      .filter((name) => name === 'mia').length <= 2,
    turns().join(),
  );
});

test('SEC-72: no user fills the queue: who comes new finds a place', async (t) => {
  const { send, guard } = await scene(t, { queue: { concurrency: 1, length: 8 } });
  const clients = [];
  for (let number = 0; number < 12; number += 1) clients.push(await send(team.mia));
  const refused = await Promise.all(clients.slice(5).map((client) => client.response()));
  assert.deepEqual([...new Set(refused.map(({ status }) => status))], [429]);
  await send(noa.person);
  const { requests } = await queueAt(guard);
  assert.deepEqual(requests.map(({ user }) => user).toSorted(), [...Array(4).fill('mia'), 'noa']);
});

test('SEC-72: a user has no more requests under way than its role permits, however many it sends', async (t) => {
  const limits = { concurrentRequests: 3 };
  const { send, turns, upstream } = await scene(t, { queue: { concurrency: 4 }, roles: { member: { limits } } });
  for (let number = 0; number < 3; number += 1) await send(team.mia);
  for (let number = 0; number < 3; number += 1) assert.equal((await (await send(team.mia)).response()).status, 429);
  // There is room left at Ollama, and it is the colleague's.
  await send(noa.person);
  await upstream.reply(3);
  assert.equal(turns().filter((name) => name === 'mia').length, 3);
});

test('SEC-72: the owner waits for nobody but the one whose turn it is, and some wait for everybody', async (t) => {
  const policy = { queue: { concurrency: 1 }, roles: { admin: { priority: -5 } } };
  const { send, turns, finish, upstream } = await scene(t, policy);
  for (const person of [team.mia, noa.person, owner.person, team.adam, team.mia]) await send(person);
  for (const number of [0, 1, 2, 3]) {
    await finish(number);
    await upstream.reply(number + 1);
  }
  assert.deepEqual(turns(), ['mia', 'olga', 'noa', 'mia', 'adam']);
});
