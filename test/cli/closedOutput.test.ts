import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ollamaGuard, temporaryFolder } from './command.ts';

const cli = join(import.meta.dirname, '..', '..', 'dist', 'cli.js');

/** Runs `ollama-guard` with nobody to read what it prints on stdout, or on either stream. */
async function unread(args: readonly string[], which: 'stdout' | 'both') {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  child.stdout.destroy();
  if (which === 'both') child.stderr.destroy();
  const [code] = await once(child, 'close');
  return { code, err };
}

describe('a command that nobody listens to any more', () => {
  it('ends as it would otherwise, and says nothing of it', async (t) => {
    const data = ['--data', await temporaryFolder(t)];
    for (const [args, code] of [
      [['policy', 'check'], 0],
      [['policy', 'show'], 0],
      [['explain', 'nobody', 'GET', '/api/tags'], 1],
      [['user', 'add', 'alice'], 0],
      [['user', 'list'], 0],
      [['user', 'remove', 'zoe'], 1],
    ] satisfies [string[], number][]) {
      const outcome = await unread([...args, ...data], 'stdout');
      assert.equal(outcome.code, code, outcome.err);
      assert.doesNotMatch(outcome.err, /EPIPE|\n +at /);
    }
    assert.match((await ollamaGuard(['user', 'list', ...data])).out, /^alice\tmember\t/);
    assert.equal((await unread(['--help'], 'stdout')).code, 0);
    assert.equal((await unread(['user', 'passwd', 'alice', ...data], 'both')).code, 0);
    assert.equal((await unread(['no-such-command'], 'both')).code, 2);
  });
});
