/** A guard in front of the demo Ollama, and what runs the text of a snippet against it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { type ClientContext, clients } from '../../src/guard/share/clients.ts';
import { type Trust, trustOf } from '../../src/guard/share/trust.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const nodeModules = join(import.meta.dirname, '..', '..', 'node_modules');

/** Where a snippet points. */
export interface Endpoint {
  readonly url: string;
  /** What reached Ollama so far, such as `POST /api/chat`. */
  readonly seen: readonly string[];
  /** What a client needs to know the endpoint; undefined without TLS. */
  readonly trust: Trust | undefined;
  /** The text a client gets from Ollama Guard, signing in as the member, perhaps at another address. */
  snippet(id: string, url?: string): string;
}

/** Starts a guard on loopback; with TLS, its certificate is from an authority of its own. */
export async function startEndpoint(
  t: TestContext,
  { host = '127.0.0.1', tls = 'off' }: { readonly host?: string; readonly tls?: 'off' | 'auto' } = {},
): Promise<Endpoint> {
  const seen: string[] = [];
  const demo = await startDemoOllama({ observe: ({ method, path }) => seen.push(`${method} ${path}`) });
  t.after(() => demo.stop());
  const { guard } = await startGuard(t, demo.url, { config: { host, tls: { mode: tls } } });
  const { url } = guard;
  const trust = trustOf(guard.tls);
  const { name: user, key: apiKey } = team.mia;
  const context: ClientContext = { url, user, apiKey, model: 'demo', shell: 'bash', ...(trust && { trust }) };
  return {
    url,
    seen,
    trust,
    snippet(id, at = url) {
      const client = clients.find((candidate) => candidate.id === id);
      assert.ok(client, id);
      return client.render({ ...context, url: at });
    },
  };
}

/** A temporary folder outside of the repository in which the packages of the repository can be imported. */
export async function workFolder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ollama-guard-client-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
  await symlink(nodeModules, join(folder, 'node_modules'), 'junction');
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o700 });
  return folder;
}

/**
 * Runs a program to its end, without a terminal and with nothing of our own environment that could sign in or go
 * through a proxy, and gives what it printed. Fails when the program does.
 */
export async function run(
  program: string,
  args: readonly string[],
  { cwd, input = '' }: { readonly cwd?: string; readonly input?: string } = {},
): Promise<string> {
  const search = [dirname(process.execPath), ...(cwd === undefined ? [] : [cwd]), process.env.PATH].join(delimiter);
  const env = { PATH: search, NO_PROXY: '127.0.0.1,::1', HOME: cwd ?? tmpdir(), PYTHONUTF8: '1' };
  // A session of its own: curl then asks for a password on its input and not on our terminal.
  const child = spawn(program, args, { cwd, env, detached: true, timeout: 60_000 });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  assert.equal(code, 0, `${program} ended with ${code}:\n${err}`);
  return out;
}
