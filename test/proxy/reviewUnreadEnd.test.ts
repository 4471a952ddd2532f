/** The end of an answer that waits in the guard for its reader holds nothing when the reader goes, or is long in coming. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { type Person, team, withPerson } from '../support/people.ts';
import { untilQueue } from '../support/queue.ts';
import { RawClient } from '../support/rawClient.ts';

const { users, person: noa } = withPerson(team.users, 'noa', 'member');
const limits = { tokensPerDay: 1_000_000, concurrentRequests: 1 };
const policy = { queue: { concurrency: 1 }, roles: { member: { limits } } };
const chat = { model: 'm', stream: false, messages: [{ role: 'user', content: 'hi' }], options: { num_predict: 10 } };
const last = '{"done":true,"prompt_eval_count":70000,"eval_count":1}\n';
const line = `${JSON.stringify({ message: { content: 'x'.repeat(900) }, done: false })}\n`;

const endpoints = 'http.server.request.start';

/** The response that a guard makes of the next request to a path: https://nodejs.org/api/diagnostics_channel.html#http */
function responseOf(t: TestContext, path: string): { readonly found: ServerResponse | undefined } {
  const seen: { found: ServerResponse | undefined } = { found: undefined };
  const onRequest = (message: unknown): void => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
    if (request.url === path) seen.found ??= response;
  };
  subscribe(endpoints, onRequest);
  t.after(() => unsubscribe(endpoints, onRequest));
  return seen;
}

/**
 * A guard whose one turn is held by an answer that nobody reads, and that Ollama has sent to its end.
 *
 * @param isFull whether so much waits for the client already that the end of the answer has to wait before it.
 */
async function scene(t: TestContext, isFull: boolean, config: { readonly idleTimeoutMs?: number } = {}) {
  const upstream = await startFakeOllama(t, () => undefined);
  const guard = await startGuard(t, upstream, { users, config: { policy, ...config } });
  const response = responseOf(t, '/api/generate');
  const client = await RawClient.open(t, guard.port, { paused: true });
  client.send(ask(team.mia, '/api/generate', { model: 'm', prompt: 'hi', options: { num_predict: 10_000 } }));
  const reply = await upstream.reply(0);
  reply.stream();
  const waits = ({ writableNeedDrain, writableLength }: ServerResponse) =>
    isFull ? writableNeedDrain : writableLength > 0;
  // Until it does, and goes on to.
  for (let times = 0; times < 20; times = response.found && waits(response.found) ? times + 1 : 0) {
    if (times === 0) reply.chunk(line.repeat(8));
    await sleep(2);
  }
  reply.chunk(last);
  reply.end();
  await sleep(50);
  assert.deepEqual([response.found?.writableEnded, response.found?.writableFinished], [!isFull, false]);
  upstream.answer = (next) => next.json({ done: true, prompt_eval_count: 1, eval_count: 1 });
  return { guard, client, reply, isRead: () => response.found?.writableFinished };
}

/** Whether somebody is let in, and what is left to them. */
async function asked(guard: TestGuard, person: Person) {
  const { status, headers } = await guard.call(ask(person, '/api/chat', chat));
  return { status, left: Number(headers['ratelimit-remaining']) };
}

test('a client that leaves gives back its turn, its place and what was reserved, and pays what Ollama counted', async (t) => {
  const { guard, client } = await scene(t, true);
  client.socket.destroy();
  await untilQueue(guard, ({ running }) => running === 0);
  const { status, left } = await asked(guard, team.mia);
  assert.equal(status, 200);
  // What the request itself reserves is small.
  assert.ok(left > limits.tokensPerDay - 71_000 && left < limits.tokensPerDay - 70_000, `${left}`);
});

test('an answer that has come whole is passed on whole, though Ollama resets the connection', async (t) => {
  const { guard, client, reply } = await scene(t, true);
  reply.reset();
  await sleep(50);
  client.socket.resume();
  await client.has(`${last}\r\n0\r\n\r\n`);
  await untilQueue(guard, ({ running }) => running === 0);
});

test('so does one that the guard cuts off because it does not read', async (t) => {
  const { guard } = await scene(t, true, { idleTimeoutMs: 500 });
  await untilQueue(guard, ({ running }) => running === 0);
  assert.equal((await asked(guard, noa)).status, 200);
  assert.equal((await asked(guard, team.mia)).status, 200);
});

test('an answer that Ollama has finished has no turn, however long its client takes for the rest', async (t) => {
  const { guard, isRead } = await scene(t, false);
  await untilQueue(guard, ({ running }) => running === 0);
  assert.equal((await asked(guard, noa)).status, 200);
  assert.equal(isRead(), false);
  assert.equal((await asked(guard, team.mia)).status, 429, 'it is under way all the same');
});
