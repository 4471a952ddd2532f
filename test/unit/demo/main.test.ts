import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../../src/demo/main.ts', import.meta.url));

test('the command says where it listens and stops when told', { skip: process.platform === 'win32' }, async (t) => {
  const child = spawn(process.execPath, [MAIN, '--tokens-per-second', '0.001'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const url = /^demo Ollama listening on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(line.toString())?.[1];
  assert.ok(url);
  assert.equal(await (await fetch(url)).text(), 'Ollama is running');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('a wrong option is a usage error', async () => {
  for (const args of [['--bogus'], ['--port', 'x'], ['--tokens-per-second', '-1']]) {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    const [stderr] = (await once(child.stderr, 'data')) as [Buffer];
    assert.ok(stderr.length > 0);
    assert.deepEqual(await once(child, 'exit'), [2, null]);
  }
});
