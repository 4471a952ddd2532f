// SEC-9: `POST /api/copy` and `/api/create` give a model another name, which a rule on names does not know.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { changeUser } from '../../src/guard/identity/users.ts';
import { ask } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const users = changeUser(team.users, 'adam', { models: { allow: ['demo*', 'team/*'], deny: ['*private'] } });

test('SEC-9: what one may not use gets no other name, and no other model its name', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const hidden of ['team/demo-private', 'TEAM/Demo-Private:latest', 'qwen3', 'registry.ollama.ai/library/qwen3']) {
    for (const [path, body] of [
      ['/api/copy', { source: hidden, destination: 'demo-mine' }],
      ['/api/copy', { source: 'demo', destination: hidden }],
      ['/api/create', { model: 'demo-mine', from: hidden }],
      ['/api/create', { model: hidden, from: 'demo' }],
      ['/api/create', { name: hidden, from: 'demo' }],
      ['/api/create', { model: hidden, files: { 'x.gguf': `sha256:${'0'.repeat(64)}` } }],
      ['/api/delete', { model: hidden }],
    ] as const) {
      const method = path === '/api/delete' ? 'DELETE' : 'POST';
      assert.equal((await guard.call(ask(team.adam, path, body, method))).status, 403, `${path} ${hidden}`);
    }
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-9: a name that Ollama stores as it stands has no source cut off, so it is none', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const body of [
    { source: 'demo:local', destination: 'demo-a' },
    { source: 'demo', destination: 'demo-a:local' },
  ]) {
    assert.equal((await guard.call(ask(team.adam, '/api/copy', body))).status, 400);
  }
  assert.equal((await guard.call(ask(team.adam, '/api/create', { model: 'demo-a:LOCAL', from: 'demo' }))).status, 400);
  assert.equal(upstream.connections, 0);
});

test('SEC-9: what was read out of a model file once is read out of none', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const body = { model: 'demo-mine', modelfile: 'FROM team/demo-private' };
  assert.equal((await guard.call(ask(team.adam, '/api/create', body))).status, 400);
  assert.equal(upstream.connections, 0);
});

test('SEC-9: a new name inherits no permission', async (t) => {
  const demo = await startDemoOllama({ tokens: 3 });
  t.after(() => demo.stop());
  const limited = changeUser(team.users, 'mia', { models: { allow: ['demo'] } });
  const guard = await startGuard(t, demo.url, { users: limited });
  const prompt = (model: string) => ask(team.mia, '/api/generate', { model, prompt: 'hi', stream: false });
  assert.equal((await guard.call(prompt('demo'))).status, 200);
  for (const [path, body] of [
    ['/api/copy', { source: 'demo', destination: 'mine' }],
    ['/api/create', { model: 'mine-too', from: 'demo', stream: false }],
  ] as const) {
    assert.equal((await guard.call(ask(team.adam, path, body))).status, 200, path);
  }
  for (const alias of ['mine', 'mine-too']) assert.equal((await guard.call(prompt(alias))).status, 403, alias);
});
