/** A restart of the guard is no new allowance: a day's tokens that were used stay used. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ask } from '../support/asks.ts';
import { type FakeOllama, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const allowance = 1_000_000;
const limits = { tokensPerDay: allowance, tokensPerMinute: 2 * allowance };
const policy = { roles: { member: { limits, limitsPerKey: { tokensPerDay: 10 * allowance } } } };
const messages = [{ role: 'user', content: 'hello' }];
/** Reserves a few tokens. */
const chat = ask(team.mia, '/api/chat', { model: 'm', messages, stream: false, options: { num_predict: 10 } });

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ollama-guard-counts-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const start = (t: TestContext, upstream: FakeOllama, dataFolder: string): Promise<TestGuard> =>
  startGuard(t, upstream, { config: { policy }, dataFolder });

/** An answer that used so many tokens. */
const answerWith = (upstream: FakeOllama, tokens: number): void => {
  upstream.answer = (reply) => reply.json({ done: true, prompt_eval_count: tokens - 1, eval_count: 1 });
};

/** What is left of the day's tokens. */
const left = async (guard: TestGuard): Promise<number> =>
  Number((await guard.call(chat)).headers['ratelimit-remaining']);

test('tokens of a day that were used are used after a restart, of the user and of the key', async (t) => {
  const upstream = await startFakeOllama(t);
  const dataFolder = await temporaryFolder(t);
  const first = await start(t, upstream, dataFolder);
  answerWith(upstream, allowance);
  assert.equal((await first.call(chat)).status, 200);
  assert.equal((await first.call(chat)).status, 429);
  await first.guard.stop(0);

  const { counts } = JSON.parse(await readFile(join(dataFolder, 'used-today.json'), 'utf8'));
  assert.deepEqual(
    counts.map(({ key, used }: { key: string; used: number }) => [key.split(' ')[0], used]),
    [
      ['user', allowance],
      ['key', allowance],
    ],
  );

  const second = await start(t, upstream, dataFolder);
  const refused = await second.call(chat);
  assert.equal(refused.status, 429);
  assert.match(refused.text, /1000000 tokens a day/);
  const seconds = Number(refused.headers['retry-after']);
  assert.ok(seconds > 86_000 && seconds <= 86_400, `the same day goes on: ${seconds}`);
});

test('so are those of a stream that the stop of the guard cut', async (t) => {
  const upstream = await startFakeOllama(t, () => undefined);
  const dataFolder = await temporaryFolder(t);
  const first = await start(t, upstream, dataFolder);
  const client = await RawClient.open(t, first.port);
  client.send(ask(team.mia, '/api/chat', { model: 'm', messages }));
  const reply = await upstream.reply(0);
  reply.stream();
  reply.chunk('{"model":"m","message":{"role":"assistant","content":" a"},"done":false}\n'.repeat(900));
  await client.has('"done":false}\n\r\n');
  await first.guard.stop(0);

  answerWith(upstream, 1);
  const second = await start(t, upstream, dataFolder);
  const remaining = await left(second);
  assert.ok(remaining <= allowance - 900, `${remaining}`);
});

test('without limits on a day nothing is kept', async (t) => {
  const upstream = await startFakeOllama(t);
  const dataFolder = await temporaryFolder(t);
  const { guard, call } = await start(t, upstream, dataFolder);
  answerWith(upstream, 5);
  assert.equal((await call(ask(team.adam, '/api/chat', { model: 'm', messages, stream: false }))).status, 200);
  await guard.stop(0);
  assert.deepEqual(await readdir(dataFolder), []);
});

test('what stands in the way of keeping it is in the log, and the guard serves', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await start(t, upstream, join(await temporaryFolder(t), 'not', 'there'));
  answerWith(upstream, 5);
  assert.equal((await guard.call(chat)).status, 200);
  await guard.guard.stop(0);
  const { message } = await guard.event('error');
  assert.match(message, /cannot be written \(ENOENT\): after a restart limits of a day begin anew$/);
});
