import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import { demoFor, post, recordsOf } from './support.ts';

const MESSAGES = [{ role: 'user', content: 'hello' }];

interface ChatRecord {
  readonly model: string;
  readonly message: { readonly role: string; readonly content: string };
  readonly done: boolean;
  readonly done_reason?: string;
  readonly eval_count?: number;
}

test('GET and HEAD / say that Ollama is running', async (t) => {
  const demo = await demoFor(t);
  assert.equal(await (await fetch(demo.url)).text(), 'Ollama is running');
  const head = await fetch(demo.url, { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), '');
});

test('the version and the model card say that this is a demo', async (t) => {
  const demo = await demoFor(t);
  const client = new Ollama({ host: demo.url });
  assert.deepEqual(await client.version(), { version: '0.0.0-demo' });
  const card = await client.show({ model: 'demo' });
  assert.match(card.license, /demo/);
  assert.match(card.modelfile, /demo/);
  assert.ok(card.capabilities.includes('completion'));
});

test('HEAD /api/tags has the length of GET /api/tags', async (t) => {
  const demo = await demoFor(t);
  const head = await fetch(`${demo.url}/api/tags`, { method: 'HEAD' });
  const body = await (await fetch(`${demo.url}/api/tags`)).text();
  assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(body)));
});

test('chat streams unless told not to', async (t) => {
  const demo = await demoFor(t, { tokens: 5 });
  const streamed = await post(demo, '/api/chat', { model: 'demo', messages: MESSAGES });
  assert.equal(streamed.type, 'application/x-ndjson');
  const records = recordsOf<ChatRecord>(streamed.text);
  assert.equal(records.length, 6);
  assert.ok(records.slice(0, -1).every((record) => !record.done));
  assert.partialDeepStrictEqual(records.at(-1), { done: true, done_reason: 'stop', eval_count: 5 });

  const whole = await post(demo, '/api/chat', { model: 'demo', messages: MESSAGES, stream: false });
  assert.equal(whole.type, 'application/json; charset=utf-8');
  assert.equal(JSON.parse(whole.text).message.content, records.map(({ message }) => message.content).join(''));
});

test('the ollama client chats and generates, streaming and not', async (t) => {
  const demo = await demoFor(t, { tokens: 5 });
  const client = new Ollama({ host: demo.url });
  const chat = await client.chat({ model: 'demo', messages: MESSAGES });
  let chatText = '';
  for await (const part of await client.chat({ model: 'demo', messages: MESSAGES, stream: true })) {
    chatText += part.message.content;
  }
  assert.equal(chatText, chat.message.content);

  const generated = await client.generate({ model: 'demo', prompt: 'hello', options: { num_predict: 2 } });
  assert.partialDeepStrictEqual(generated, { done: true, done_reason: 'length', eval_count: 2 });
  let text = '';
  for await (const part of await client.generate({ model: 'demo', prompt: 'hello', stream: true }))
    text += part.response;
  assert.equal(text, chatText);
});

test('the model is echoed as it was asked for', async (t) => {
  const demo = await demoFor(t, { tokens: 1 });
  const { text } = await post(demo, '/api/chat', { model: 'Library/DEMO', messages: MESSAGES, stream: false });
  assert.equal(JSON.parse(text).model, 'Library/DEMO');
});

test('a key binds in any letter case, the last one', async (t) => {
  const demo = await demoFor(t, { tokens: 1 });
  const { text } = await post(demo, '/api/generate', '{"model":"nope","Model":"demo","prompt":"x","STREAM":false}');
  assert.equal(JSON.parse(text).model, 'demo');
});

test('an unknown model is not found', async (t) => {
  const demo = await demoFor(t);
  for (const path of ['/api/chat', '/api/generate']) {
    const { status, text } = await post(demo, path, { model: 'x', prompt: 'a', messages: MESSAGES });
    assert.equal(status, 404);
    assert.deepEqual(JSON.parse(text), { error: "model 'x' not found" });
  }
  const embed = await post(demo, '/api/embed', { model: 'x', input: 'a' });
  assert.deepEqual(JSON.parse(embed.text), { error: 'model "x" not found, try pulling it first' });
});

test('a call without a body, without a model or with broken JSON is refused', async (t) => {
  const demo = await demoFor(t);
  assert.deepEqual(await post(demo, '/api/chat', ''), {
    status: 400,
    type: 'application/json; charset=utf-8',
    text: '{"error":"missing request body"}',
  });
  assert.equal((await post(demo, '/api/chat', {})).text, '{"error":"model is required"}');
  assert.equal((await post(demo, '/api/chat', '{')).status, 400);
});

test('a model that only embeds does not chat', async (t) => {
  const demo = await demoFor(t);
  const { status, text } = await post(demo, '/api/chat', { model: 'demo-embed', messages: MESSAGES });
  assert.equal(status, 400);
  assert.deepEqual(JSON.parse(text), { error: '"demo-embed" does not support chat' });
});

test('a model of ollama.com is refused: the demo is offline', async (t) => {
  const demo = await demoFor(t);
  const { status } = await post(demo, '/api/chat', { model: 'demo:cloud', messages: MESSAGES });
  assert.equal(status, 403);
  const cloud = await (await fetch(`${demo.url}/api/status`)).text();
  assert.partialDeepStrictEqual(JSON.parse(cloud), { cloud: { disabled: true } });
});

test('a call without a prompt loads the model, and keep_alive 0 unloads it', async (t) => {
  const demo = await demoFor(t);
  const client = new Ollama({ host: demo.url });
  for (const [path, empty] of [
    ['/api/generate', { prompt: '' }],
    ['/api/chat', { messages: [] }],
  ] as const) {
    const loaded = await post(demo, path, { model: 'demo', ...empty });
    assert.partialDeepStrictEqual(JSON.parse(loaded.text), { done: true, done_reason: 'load' });
    assert.deepEqual(
      (await client.ps()).models.map(({ name }) => name),
      ['demo:latest'],
    );
    const unloaded = await post(demo, path, { model: 'demo', ...empty, keep_alive: 0 });
    assert.partialDeepStrictEqual(JSON.parse(unloaded.text), { done: true, done_reason: 'unload' });
    assert.deepEqual((await client.ps()).models, []);
  }
});

test('a model that answered is loaded, unless it was told not to stay', async (t) => {
  const demo = await demoFor(t, { tokens: 1 });
  const client = new Ollama({ host: demo.url });
  await client.chat({ model: 'demo', messages: MESSAGES, keep_alive: -1 });
  await client.chat({ model: 'demo:7b', messages: MESSAGES, keep_alive: 0 });
  const { models } = await client.ps();
  assert.deepEqual(
    models.map(({ name }) => name),
    ['demo:latest'],
  );
});

test('embeddings come one per text', async (t) => {
  const demo = await demoFor(t);
  const client = new Ollama({ host: demo.url });
  const { embeddings } = await client.embed({ model: 'demo-embed', input: ['a', 'b'] });
  assert.deepEqual(
    embeddings.map((vector) => vector.length),
    [384, 384],
  );
  const short = await client.embed({ model: 'demo-embed', input: 'a', dimensions: 8 });
  assert.equal(short.embeddings[0]?.length, 8);
  const old = await client.embeddings({ model: 'demo-embed', prompt: 'a' });
  assert.deepEqual(old.embedding, embeddings[0]);
  assert.deepEqual((await client.embed({ model: 'demo-embed', input: '' })).embeddings, []);
  assert.equal((await post(demo, '/api/embed', { model: 'demo-embed', input: [1] })).status, 400);
});

test('a version, an account and cloud models are as told', async (t) => {
  const cloudModels = ['gpt-oss:120b-cloud'];
  const demo = await demoFor(t, { version: '0.17.0', account: 'signed-in', cloudModels });
  const get = async (path: string) => (await fetch(demo.url + path)).json();
  assert.deepEqual(await get('/api/version'), { version: '0.17.0' });
  assert.deepEqual(await get('/api/status'), { cloud: { disabled: false, source: 'none' } });
  const tags = (await get('/api/tags')) as { models: { name: string; remote_host?: string }[] };
  assert.partialDeepStrictEqual(tags.models.at(-1), { name: cloudModels[0], remote_host: 'https://ollama.com:443' });
  assert.equal((await post(demo, '/api/me', '')).status, 200);
  assert.equal((await post(demo, '/api/chat', { model: cloudModels[0] })).status, 403);
  const signedOut = await demoFor(t, { account: 'signed-out' });
  assert.equal((await post(signedOut, '/api/me', '')).status, 401);
});
