/** The clients teammates use, as they are on npm, through a guard in front of the demo Ollama. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const model = 'demo';
const messages = [{ role: 'user' as const, content: 'Hello' }];

async function guardUrl(t: TestContext): Promise<string> {
  const demo = await startDemoOllama({ tokensPerSecond: 500 });
  t.after(() => demo.stop());
  return (await startGuard(t, demo.url)).guard.url;
}

describe('the ollama client', () => {
  const client = async (t: TestContext, authorization: string) =>
    new Ollama({ host: await guardUrl(t), headers: { Authorization: authorization } });

  it('lists, shows, embeds and chats with an API key', async (t) => {
    const ollama = await client(t, team.mia.bearer);
    assert.ok((await ollama.list()).models.some(({ name }) => name === 'demo:latest'));
    assert.ok((await ollama.show({ model })).details);
    assert.equal((await ollama.embed({ model: 'demo-embed', input: ['a', 'b'] })).embeddings.length, 2);
    assert.match((await ollama.chat({ model, messages })).message.content, /\[demo\]/);
  });

  it('streams with an API key and with a password', async (t) => {
    for (const authorization of [team.mia.bearer, team.mia.basic]) {
      const ollama = await client(t, authorization);
      const parts: string[] = [];
      let done = false;
      for await (const part of await ollama.generate({ model, prompt: 'Hello', stream: true })) {
        parts.push(part.response ?? '');
        done = part.done;
      }
      assert.ok(parts.length > 5);
      assert.equal(done, true);
    }
  });

  it('tells the words of a refusal', async (t) => {
    const ollama = await client(t, team.vera.bearer);
    await assert.rejects(ollama.chat({ model, messages }), /Your role does not permit this/);
  });
});

describe('the openai client', () => {
  const client = async (t: TestContext, apiKey: string) =>
    new OpenAI({ baseURL: `${await guardUrl(t)}/v1`, apiKey, maxRetries: 0 });

  it('lists, embeds and chats', async (t) => {
    const openai = await client(t, team.mia.key);
    const ids = [];
    for await (const { id } of openai.models.list()) ids.push(id);
    assert.ok(ids.includes('demo:latest'));
    assert.equal((await openai.models.retrieve('demo:latest')).id, 'demo:latest');
    assert.equal((await openai.embeddings.create({ model: 'demo-embed', input: 'a' })).data.length, 1);
    const answer = await openai.chat.completions.create({ model, messages });
    assert.match(answer.choices[0]?.message.content ?? '', /\[demo\]/);
  });

  it('streams', async (t) => {
    const openai = await client(t, team.mia.key);
    const stream = await openai.chat.completions.create({
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.ok(chunks.length > 5);
    assert.ok((chunks.at(-1)?.usage?.completion_tokens ?? 0) > 0);
  });

  it('understands refusals', async (t) => {
    await assert.rejects((await client(t, 'wrong')).models.list(), OpenAI.AuthenticationError);
    const viewer = await client(t, team.vera.key);
    await assert.rejects(viewer.chat.completions.create({ model, messages }), OpenAI.PermissionDeniedError);
  });
});

describe('the @anthropic-ai/sdk client', () => {
  const ask = { model, messages, max_tokens: 100 };

  it('asks and streams with x-api-key and with a Bearer token', async (t) => {
    const baseURL = await guardUrl(t);
    for (const credential of [{ apiKey: team.mia.key }, { apiKey: null, authToken: team.mia.key }]) {
      const anthropic = new Anthropic({ baseURL, maxRetries: 0, ...credential });
      const [block] = (await anthropic.messages.create(ask)).content;
      assert.match(block?.type === 'text' ? block.text : '', /\[demo\]/);
      const stream = anthropic.messages.stream(ask);
      let deltas = 0;
      stream.on('text', () => {
        deltas += 1;
      });
      assert.ok((await stream.finalMessage()).usage.output_tokens > 0);
      assert.ok(deltas > 5);
    }
  });

  it('understands refusals', async (t) => {
    const baseURL = await guardUrl(t);
    const stranger = new Anthropic({ baseURL, maxRetries: 0, apiKey: 'wrong' });
    await assert.rejects(stranger.messages.create(ask), Anthropic.AuthenticationError);
    const viewer = new Anthropic({ baseURL, maxRetries: 0, apiKey: team.vera.key });
    await assert.rejects(viewer.messages.create(ask), Anthropic.PermissionDeniedError);
  });
});
