import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import type { DemoOllama } from '../../../src/demo/demoOllama.ts';
import { demoFor, openStream, post, recordsOf, until } from './support.ts';

async function namesOf(demo: DemoOllama): Promise<string[]> {
  const { models } = await new Ollama({ host: demo.url }).list();
  return models.map(({ name }) => name);
}

test('a pull reports its progress and adds the model', async (t) => {
  const demo = await demoFor(t);
  const stream = await new Ollama({ host: demo.url }).pull({ model: 'llama3.2', stream: true });
  const seen: { status: string; total: number; completed: number }[] = [];
  for await (const record of stream) seen.push(record);
  assert.equal(seen[0]?.status, 'pulling manifest');
  assert.equal(seen.at(-1)?.status, 'success');
  assert.ok(seen.some(({ total, completed }) => total > 0 && completed === total));
  assert.ok((await namesOf(demo)).includes('llama3.2:latest'));
});

test('a pull that is not streamed answers its last record', async (t) => {
  const demo = await demoFor(t);
  const { type, text } = await post(demo, '/api/pull', { name: 'llama3.2', stream: false });
  assert.deepEqual([type, JSON.parse(text)], ['application/json', { status: 'success' }]);
});

test('a pull that is broken off adds nothing', async (t) => {
  const demo = await demoFor(t, { tokensPerSecond: 0.001 });
  const response = await openStream(demo, '/api/pull', { model: 'llama3.2' });
  response.destroy();
  await until(() => demo.generating === 0);
  assert.ok(!(await namesOf(demo)).includes('llama3.2:latest'));
});

test('copy, create, push and delete do what their names say, in memory', async (t) => {
  const demo = await demoFor(t);
  const client = new Ollama({ host: demo.url });
  await client.copy({ source: 'demo', destination: 'mine' });
  await client.create({ model: 'other', from: 'demo', system: 'be brief' });
  const push = await post(demo, '/api/push', { model: 'mine' });
  assert.ok(recordsOf<{ status: string }>(push.text).some(({ status }) => /nothing leaves/.test(status)));
  assert.ok((await namesOf(demo)).includes('mine:latest'));
  assert.ok((await namesOf(demo)).includes('other:latest'));
  await client.delete({ model: 'MINE' });
  assert.ok(!(await namesOf(demo)).includes('mine:latest'));
  await assert.rejects(client.delete({ model: 'mine' }), /model 'mine' not found/);
});

test('a deleted model is no longer loaded', async (t) => {
  const demo = await demoFor(t);
  const client = new Ollama({ host: demo.url });
  await post(demo, '/api/generate', { model: 'demo' });
  await client.delete({ model: 'demo' });
  assert.deepEqual((await client.ps()).models, []);
});

test('an invalid name is refused', async (t) => {
  const demo = await demoFor(t);
  for (const [path, body] of [
    ['/api/pull', { model: 'a b' }],
    ['/api/create', { model: '/', from: 'demo' }],
    ['/api/copy', { source: 'demo', destination: '-' }],
    ['/api/create', { model: 'a' }],
  ] as const) {
    assert.equal((await post(demo, path, body)).status, 400, path);
  }
});

test('a blob is hashed on its way in and remembered by its digest', async (t) => {
  const demo = await demoFor(t);
  const bytes = 'weights';
  const path = `/api/blobs/sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const head = async (): Promise<number> => (await fetch(demo.url + path, { method: 'HEAD' })).status;
  assert.equal(await head(), 404);
  assert.equal((await post(demo, path, 'other bytes')).status, 400);
  assert.equal((await post(demo, path, bytes)).status, 201);
  assert.equal((await post(demo, path, bytes)).status, 200);
  assert.equal(await head(), 200);
  assert.equal((await post(demo, '/api/blobs/sha256:..', bytes)).status, 400);
});
