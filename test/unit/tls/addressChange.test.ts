/** A computer that moves to another network: the kernel gives it an address, and clients reach it there by TLS. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { without, withoutNamespaces } from '../../support/debian.ts';
import { run } from '../../support/run.ts';

const skip = withoutNamespaces() || without('openssl');

it('an address that the computer gets is in the certificate, and works', { skip }, async (t) => {
  const name = `og-roam-${process.pid}`;
  const ip = (...args: readonly string[]) => execFileSync('ip', args, { stdio: 'pipe' });
  ip('netns', 'add', name);
  t.after(() => ip('netns', 'delete', name));
  ip('-n', name, 'link', 'set', 'lo', 'up');

  const inside = ['netns', 'exec', name];
  const script = join(import.meta.dirname, 'guardProcess.ts');
  const guard = spawn('ip', [...inside, process.execPath, script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(guard, 'close');
  t.after(async () => {
    guard.stdin.end();
    await ended;
  });
  const lines = createInterface({ input: guard.stdout })[Symbol.asyncIterator]();
  const { port, ca } = JSON.parse((await lines.next()).value ?? '');

  const folder = mkdtempSync(join(tmpdir(), 'ollama-guard-roam-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, ca);
  /** What openssl says when it connects to one address and asks for another in the certificate. */
  const verified = async (to: string, asked: string) => {
    const trust = ['-CAfile', caFile, '-verify_ip', asked, '-verify_return_error'];
    const { out, err } = await run('ip', [...inside, 'openssl', 's_client', '-connect', `${to}:${port}`, ...trust]);
    return /Verify return code: (.*)/.exec(out)?.[1] ?? /verify error:(.*)/.exec(err)?.[1];
  };
  assert.equal(await verified('127.0.0.1', '127.0.0.1'), '0 (ok)');
  assert.equal(await verified('[::1]', '::1'), '0 (ok)');

  for (const [address, to] of [
    ['10.99.0.7', '10.99.0.7'],
    ['fd00:99::7', '[fd00:99::7]'],
  ] as const) {
    assert.match((await verified('127.0.0.1', address)) ?? '', /IP address mismatch/);
    ip('-n', name, 'address', 'add', address, 'dev', 'lo', ...(address.includes(':') ? ['nodad'] : []));
    assert.equal((await lines.next()).value, 'changed');
    assert.equal(await verified(to, address), '0 (ok)');
  }
  ip('-n', name, 'address', 'delete', '10.99.0.7/32', 'dev', 'lo');
  assert.equal((await lines.next()).value, 'changed');
  assert.match((await verified('127.0.0.1', '10.99.0.7')) ?? '', /IP address mismatch/);
});
