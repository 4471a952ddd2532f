import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { basic } from '../support/people.ts';
import { keepRunning, ollamaGuard, temporaryFolder } from './command.ts';

const listening = /^listening on (http:\/\/\S+)$/m;

async function demoFor(t: TestContext, tokensPerSecond = 0): Promise<{ url: string; readonly generating: number }> {
  const demo = await startDemoOllama({ tokensPerSecond, tokens: tokensPerSecond === 0 ? 20 : 1_000_000 });
  t.after(() => demo.stop());
  return demo;
}

/** Runs a command line in a shell, as a person who pastes it does. */
async function paste(command: string): Promise<string> {
  const shell = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'] });
  let out = '';
  for await (const chunk of shell.stdout) out += chunk;
  return out;
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

describe('ollama-guard serve', () => {
  it('counts the tokens of a day on after a restart', async (t) => {
    const demo = await demoFor(t);
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'alice', '--no-password', '--tokens-per-day', '1', '--data', data]);
    const key = (await ollamaGuard(['key', 'add', 'alice', '--data', data])).out.trim();
    const init = { method: 'POST', headers: { authorization: `Bearer ${key}` } };
    const body = JSON.stringify({ model: 'demo', prompt: 'hello', stream: false });
    for (const expected of [[200, 429], [429]]) {
      const guard = keepRunning(t, ['serve', '--listen', '127.0.0.1:0', '--upstream', demo.url, '--data', data]);
      const url = await guard.line(listening);
      for (const status of expected) {
        assert.equal((await fetch(`${url}/api/generate`, { ...init, body })).status, status);
      }
      assert.equal(await guard.end('SIGTERM'), 0);
    }
    assert.deepEqual(await readdir(data), ['used-today.json', 'users.json']);
  });

  it('knows a new key when key add is through, says that another guard has the folder, and logs in JSON alone', async (t) => {
    const demo = await demoFor(t);
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'alice', '--no-password', '--data', data]);
    const serve = () =>
      keepRunning(t, [
        ...['serve', '--listen', '127.0.0.1:0', '--upstream', demo.url, '--data', data, '--log-format', 'json'],
      ]);
    const guard = serve();
    const url = await guard.line(listening);
    for (let i = 0; i < 3; i += 1) {
      const key = (await ollamaGuard(['key', 'add', 'alice', '--data', data])).out.trim();
      assert.equal((await fetch(`${url}/api/tags`, { headers: { authorization: `Bearer ${key}` } })).status, 200);
    }
    const other = serve();
    await other.line(listening);
    const [note] = other.printed.err.split('\n');
    const { type, message } = JSON.parse(note ?? '');
    assert.equal(type, 'note');
    assert.match(
      message,
      new RegExp(`^Another guard seems to use ${data}, at ${url}\\. Each counts limits for itself`),
    );
    await writeFile(join(data, 'policy.json'), '{');
    await until(() => guard.printed.err.includes('The policy stays as it was.'));
    for (const line of guard.printed.err.trim().split('\n')) assert.ok(JSON.parse(line).time, line);
    // Other commands speak of the one that began last, and of the first again when that has ended.
    const address = async () => JSON.parse(await readFile(join(data, 'endpoint.json'), 'utf8')).url;
    assert.notEqual(await address(), url);
    assert.equal(await other.end('SIGINT'), 0);
    assert.equal(await address(), url);
    assert.equal(await guard.end('SIGINT'), 0);
    await assert.rejects(address(), { code: 'ENOENT' });
  });

  it('takes an empty data folder for none', async () => {
    const outcome = await ollamaGuard(['user', 'list', '--data', '']);
    assert.equal(outcome.code, 2);
    assert.match(outcome.err, /--data <folder>.* is invalid. It is empty\./);
  });

  it('answers as Ollama does, byte for byte, and knows users as another process changes them', async (t) => {
    const demo = await demoFor(t);
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'alice', '--password-stdin', '--data', data], 'secret');
    const guard = keepRunning(t, ['serve', '--listen', '127.0.0.1:0', '--upstream', demo.url, '--data', data]);
    const url = await guard.line(listening);
    const status = async (authorization?: string) =>
      (await fetch(`${url}/api/tags`, { headers: authorization === undefined ? {} : { authorization } })).status;

    const own = Buffer.from(await (await fetch(`${demo.url}/api/tags`)).arrayBuffer());
    const answer = await fetch(`${url}/api/tags`, { headers: { authorization: basic('alice', 'secret') } });
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), own);
    assert.equal((await fetch(`${url}/v1/models`)).status, 401);
    assert.equal(await status(), 401);
    assert.equal(
      await paste((await ollamaGuard(['curl', '--data', data])).out.replace('-u alice', '-s -u alice:secret')),
      own.toString(),
    );

    const key = (await ollamaGuard(['key', 'add', 'alice', '--data', data])).out.trim();
    await until(async () => (await status(`Bearer ${key}`)) === 200);
    await ollamaGuard(['user', 'remove', 'alice', '--data', data]);
    // One that is being answered when the user goes is cut off.
    await until(async () => (await status(`Bearer ${key}`).catch(() => 0)) === 401);
    assert.ok(!JSON.stringify(guard.printed).includes(key));

    assert.equal(await guard.end('SIGTERM'), 0);
    assert.deepEqual(await readdir(data), ['users.json'], 'nothing is left behind');
  });

  it('drains streams on SIGTERM', async (t) => {
    const demo = await startDemoOllama({ tokensPerSecond: 20, tokens: 20 });
    t.after(() => demo.stop());
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'alice', '--data', data]);
    const key = (await ollamaGuard(['key', 'add', 'alice', '--data', data])).out.trim();
    const guard = keepRunning(t, ['serve', '--listen', '127.0.0.1:0', '--upstream', demo.url, '--data', data]);
    const url = await guard.line(listening);
    const stream = await fetch(`${url}/api/generate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify({ model: 'demo', prompt: 'Hello' }),
    });
    const ended = guard.end('SIGTERM');
    assert.match(await stream.text(), /"done":true/);
    assert.equal(await ended, 0);
  });

  it('says that a port is busy, and takes no other', async (t) => {
    const busy = createServer().listen(0, '127.0.0.1');
    t.after(() => busy.close());
    await new Promise((resolve) => busy.once('listening', resolve));
    const address = busy.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const outcome = await ollamaGuard(['serve', '--listen', `127.0.0.1:${port}`, '--data', await temporaryFolder(t)]);
    assert.equal(outcome.code, 1);
    assert.match(outcome.err, new RegExp(`Port ${port} is in use`));
    assert.equal(outcome.out, '');
  });

  it('starts without Ollama, says so, and answers 503 until it is there', async (t) => {
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'alice', '--data', data]);
    const key = (await ollamaGuard(['key', 'add', 'alice', '--data', data])).out.trim();
    const guard = keepRunning(t, [
      'serve',
      '--listen',
      '127.0.0.1:0',
      '--upstream',
      'http://127.0.0.1:1',
      '--data',
      data,
    ]);
    const url = await guard.line(listening);
    const answer = await fetch(`${url}/api/tags`, { headers: { authorization: `Bearer ${key}` } });
    assert.equal(answer.status, 503);
    await until(() => /ollama serve/.test(guard.printed.err));
  });

  it('goes on with the users it has when users.json is damaged while it runs', async (t) => {
    const demo = await demoFor(t);
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'alice', '--data', data]);
    const key = (await ollamaGuard(['key', 'add', 'alice', '--data', data])).out.trim();
    const guard = keepRunning(t, ['serve', '--listen', '127.0.0.1:0', '--upstream', demo.url, '--data', data]);
    const url = await guard.line(listening);
    await writeFile(join(data, 'users.json'), 'oh no');
    await until(() => guard.printed.err.includes('damaged'));
    assert.equal((await fetch(`${url}/api/tags`, { headers: { authorization: `Bearer ${key}` } })).status, 200);
    assert.equal(await readFile(join(data, 'users.json'), 'utf8'), 'oh no');
  });

  it('logs requests as JSON without secrets', async (t) => {
    const demo = await demoFor(t);
    const data = await temporaryFolder(t);
    await ollamaGuard(['user', 'add', 'alice', '--password-stdin', '--data', data], 'secret-password');
    const args = ['serve', '--listen', '127.0.0.1:0', '--upstream', demo.url, '--log-format', 'json', '--data', data];
    const guard = keepRunning(t, args);
    const url = await guard.line(listening);
    await fetch(`${url}/api/tags?api-key=hidden`, { headers: { authorization: basic('alice', 'secret-password') } });
    await until(() => guard.printed.err.includes('"status":200'));
    const line = JSON.parse(guard.printed.err.split('\n').find((text) => text.includes('"status":200')) ?? '');
    assert.equal(line.user, 'alice');
    assert.equal(line.path, '/api/tags');
    assert.doesNotMatch(guard.printed.err, /secret-password|hidden/);
  });
});

describe('ollama-guard try', () => {
  it('says what an address is', async () => {
    const outcome = await ollamaGuard(['try', '--upstream', 'foo']);
    assert.equal(outcome.code, 2);
    assert.match(outcome.err, /upstream: /);
  });

  it('prints a curl command that answers the model list; without the key it is 401', async (t) => {
    const guard = keepRunning(t, ['try', '--port', '0', '--upstream', 'http://127.0.0.1:1']);
    const command = await guard.line(/^curl .*$/m);
    assert.match(guard.printed.err, /because no Ollama answers at http:\/\/127\.0\.0\.1:1\./);
    const { models } = JSON.parse(await paste(command));
    assert.ok(models.length > 0);
    const url = /http:\S+/.exec(command)?.[0] ?? '';
    assert.equal((await fetch(url)).status, 401);
    assert.equal(await guard.end('SIGINT'), 0);
  });

  it('takes the Ollama that runs, and another port when its own is busy', async (t) => {
    const demo = await demoFor(t);
    const busy = createServer().listen(0, '127.0.0.1');
    t.after(() => busy.close());
    await new Promise((resolve) => busy.once('listening', resolve));
    const address = busy.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const guard = keepRunning(t, ['try', '--port', String(port), '--upstream', demo.url]);
    const command = await guard.line(/^curl .*$/m);
    assert.equal(await paste(command), await (await fetch(`${demo.url}/api/tags`)).text());
    assert.match(guard.printed.err, new RegExp(`in front of the Ollama at ${demo.url}`));
  });
});
