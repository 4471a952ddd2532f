// SEC-8: pulls from 205.237.106.117:8443/attacker/leak_model_0 in the wild (ollama#16236), and the addresses of a private
// network reached through a pull (ollama#16656).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const elsewhere = [
  '205.237.106.117:8443/attacker/leak_model_0',
  'http://205.237.106.117:8443/attacker/leak_model_0',
  'https://169.254.169.254/latest/meta-data',
  '127.0.0.1:11434/library/llama3.2',
  'localhost:5000/library/llama3.2',
  '0x7f000001/a/b',
  '2130706433/a/b',
  'hf.co/a/b',
  'HF.co/a/b:Q4_K_M',
  'registry.ollama.ai:443/library/llama3.2',
  'registry.ollama.ai:8443/library/llama3.2',
  'registry.ollama.ai.evil.example/library/llama3.2',
  'evil-registry.ollama.ai/library/llama3.2',
  'registry.ollama.ai./library/llama3.2',
];

/** What neither the guard nor Ollama takes for a name. */
const noNames = [
  '[::1]:8443/a/b',
  'http://[::ffff:10.0.0.7]/a/b',
  'registry.ollama.ai@evil.example/library/x',
  'https://evil.example/registry.ollama.ai/library/x',
  'evil.example\\registry.ollama.ai/library/x',
  'ftp://registry.ollama.ai/library/x',
  '../../etc/passwd',
];

/** Every field whose host Ollama calls. */
const calling = (name: string) =>
  [
    ['/api/pull', { model: name }],
    ['/api/pull', { name }],
    ['/api/push', { model: name }],
    ['/api/push', { name }],
    ['/api/create', { model: 'mine', from: name }],
  ] as const;

test('SEC-8: no model comes from, nor goes to, a registry that is not named', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const name of elsewhere) {
    for (const [path, body] of calling(name)) {
      const { status, text } = await guard.call(ask(team.adam, path, body));
      assert.equal(status, 403, `${path} ${name}`);
      assert.match(JSON.parse(text).error, /registry/);
    }
  }
  for (const name of noNames) {
    for (const [path, body] of calling(name)) {
      assert.equal((await guard.call(ask(team.adam, path, body))).status, 400, `${path} ${name}`);
    }
  }
  assert.equal(upstream.connections, 0);
});

test("SEC-8: Ollama's own registry is named unless another is, and then is not", async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const statuses = async (name: string) => {
    const answers = [];
    for (const [path, body] of calling(name)) answers.push((await guard.call(ask(team.adam, path, body))).status);
    return [...new Set(answers)];
  };
  for (const name of ['llama3.2', 'team/x:7b', 'https://Registry.Ollama.AI/library/llama3.2']) {
    assert.deepEqual(await statuses(name), [200], name);
  }
  guard.guard.setPolicy({ roles: { admin: { registries: ['hf.co', '10.0.0.7:5000'] } } });
  for (const name of ['hf.co/a/b', '10.0.0.7:5000/a/b']) assert.deepEqual(await statuses(name), [200], name);
  for (const name of ['llama3.2', '10.0.0.7/a/b', '10.0.0.7:50001/a/b', 'www.hf.co/a/b']) {
    assert.deepEqual(await statuses(name), [403], name);
  }
});

test('SEC-8: no connection to a registry does without encryption', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const path of ['/api/pull', '/api/push', '/api/create']) {
    const body = { model: 'llama3.2', from: 'llama3.2' };
    assert.equal((await guard.call(ask(team.adam, path, { ...body, insecure: true }))).status, 403, path);
    for (const other of ['"true"', '1', '[]', '{}']) {
      const text = `{"model":"llama3.2","from":"llama3.2","insecure":${other}}`;
      assert.equal((await guard.call(ask(team.adam, path, text))).status, 400, `${path} ${other}`);
    }
    const variant = '{"model":"llama3.2","from":"llama3.2","Insecure":true}';
    assert.equal((await guard.call(ask(team.adam, path, variant))).status, 400, path);
  }
  assert.equal(upstream.connections, 0);
  assert.equal((await guard.call(ask(team.adam, '/api/pull', { model: 'x', insecure: false }))).status, 200);
});
