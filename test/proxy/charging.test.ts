/** What requests are charged for, as their user meets it: in what is left of the tokens of a minute. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { ask } from '../support/asks.ts';
import { type Answer, type FakeOllama, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const policy = { roles: { member: { limits: { tokensPerMinute: 1_000_000 } } } };
const messages = [{ role: 'user', content: 'word '.repeat(300) }];
const asked = { model: 'm', messages, max_tokens: 10_000 };

/** A tool call of about 8,000 tokens. */
const code = 'let x = y; '.repeat(2_910);
const nativeToken = '{"model":"m","message":{"role":"assistant","content":" a"},"done":false}\n';
const nativeCall = `${JSON.stringify({ model: 'm', message: { tool_calls: [{ function: { arguments: { code } } }] }, done: false })}\n`;
const data = (delta: object) => `data: ${JSON.stringify({ model: 'm', choices: [{ index: 0, delta }] })}\n\n`;

/** Tokens that are left, by the answer to a request that is free. */
async function left(guard: TestGuard, upstream: FakeOllama): Promise<number> {
  const { answer } = upstream;
  upstream.answer = (reply) => reply.json({ error: 'no' }, 400);
  const { headers } = await guard.call(ask(team.mia, '/api/chat', { ...asked, stream: false }));
  upstream.answer = answer;
  return Number(headers['ratelimit-remaining']);
}

async function scene(t: TestContext, answer: Answer = () => {}) {
  const upstream = await startFakeOllama(t, answer);
  const guard = await startGuard(t, upstream, { config: { policy } });
  const before = await left(guard, upstream);
  assert.ok(before > 0);
  return { upstream, guard, charged: async () => before - (await left(guard, upstream)) };
}

/** The prompt alone, by its size. */
const prompt = [400, 700] as const;

function isWithin(number: number, [from, to]: readonly [number, number], what = ''): void {
  assert.ok(number >= from && number <= to, `${what} ${number}`);
}

test('a tool call in a stream without usage is charged for what it is long', async (t) => {
  const { guard, charged } = await scene(t, (reply) => {
    reply.stream('text/event-stream');
    for (let i = 0; i < 90; i++) reply.chunk(data({ content: ' a' }));
    reply.chunk(data({ tool_calls: [{ function: { arguments: JSON.stringify({ code }) } }] }));
    reply.chunk('data: [DONE]\n\n');
    reply.end();
  });
  const { status } = await guard.call(ask(team.mia, '/v1/chat/completions', { ...asked, stream: true }));
  assert.equal(status, 200);
  isWithin(await charged(), [8_000 + prompt[0], 8_500 + prompt[1]]);
});

test('a stream that its client cuts after a tool call is charged for it', async (t) => {
  const { guard, upstream, charged } = await scene(t);
  const client = await RawClient.open(t, guard.port);
  client.send(ask(team.mia, '/api/chat', asked));
  const reply = await upstream.reply(1);
  reply.stream();
  reply.chunk(nativeToken.repeat(90) + nativeCall);
  await client.has('"done":false}\n\r\n');
  client.socket.destroy();
  await reply.closed();
  // With what there was of silence until the client left, and no more than it may have.
  isWithin(await charged(), [8_000 + prompt[0], 10_000 + prompt[1]]);
});

test('a stream that Ollama breaks off is charged for what came', async (t) => {
  const { guard, upstream, charged } = await scene(t);
  const client = await RawClient.open(t, guard.port);
  client.send(ask(team.mia, '/api/chat', asked));
  const reply = await upstream.reply(1);
  reply.stream();
  reply.chunk(nativeToken.repeat(90));
  await client.has('"done":false}\n\r\n');
  reply.die();
  await client.closed();
  isWithin(await charged(), [90 + prompt[0], 90 + prompt[1]]);
});

test('a failure of Ollama is charged for the prompt at least; a refusal, a full queue and a dead Ollama are free', async (t) => {
  let status = 500;
  const { guard, upstream, charged } = await scene(t, (reply) => reply.json({ error: 'x' }, status));
  const send = async (expected: number) => {
    const answer = await guard.call(ask(team.mia, '/api/chat', asked));
    assert.equal(answer.status, expected);
  };
  for (status of [400, 404, 503]) await send(status);
  upstream.answer = (reply) => reply.die();
  await send(502);
  assert.equal(await charged(), 0);
  upstream.answer = (reply) => reply.json({ error: 'x' }, 500);
  await send(500);
  isWithin(await charged(), [prompt[0], prompt[1] + 10_000]);
});

test('to load a model is free', async (t) => {
  const demo = await startDemoOllama();
  t.after(() => demo.stop());
  const guard = await startGuard(t, demo.url, { config: { policy } });
  const remaining = async (body: object) => {
    const { status, text, headers } = await guard.call(ask(team.mia, '/api/generate', { model: 'demo', ...body }));
    assert.equal(status, 200);
    return [JSON.parse(text.trim().split('\n').at(-1) ?? '').done_reason, headers['ratelimit-remaining']];
  };
  const [reason, first] = await remaining({});
  const [again, second] = await remaining({});
  assert.deepEqual([reason, again], ['load', 'load']);
  assert.equal(second, first);
});
