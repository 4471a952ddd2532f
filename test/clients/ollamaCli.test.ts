/**
 * The snippet for the ollama command, run: by the program itself where it is installed, else by one of its name that
 * makes the same requests (api/client.go and auth/auth.go of https://github.com/ollama/ollama at fb30760). No registry
 * that tests install from has the program.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import type { User } from '../../src/guard/identity/users.ts';
import { clients } from '../../src/guard/share/clients.ts';
import { trustOf } from '../../src/guard/share/trust.ts';
import { without } from '../support/debian.ts';
import { startGuard } from '../support/guard.ts';
import { type CliKey, createCliKey, withPublicKey } from '../support/ollamaCli.ts';
import { team } from '../support/people.ts';
import { startImpostor } from './impostor.ts';

/** Sends `HEAD /` and then the call of its command, and prints what ollama would. */
const standIn = `#!/usr/bin/env node
const { createPrivateKey, createPublicKey, sign } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { OLLAMA_HOST, OLLAMA_AUTH, SSL_CERT_FILE, HOME } = process.env;
const { request } = require(OLLAMA_HOST.startsWith('https:') ? 'node:https' : 'node:http');
const calls = { list: ['GET', '/api/tags'], pull: ['POST', '/api/pull'] };
const [method, path] = calls[process.argv[2]];

function authorization(text) {
  const key = createPrivateKey(readFileSync(HOME + '/.ollama/id_ed25519'));
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  const type = Buffer.from('\\0\\0\\0\\x0bssh-ed25519\\0\\0\\0\\x20');
  const blob = Buffer.concat([type, Buffer.from(x, 'base64url')]).toString('base64');
  return blob + ':' + sign(null, Buffer.from(text), key).toString('base64');
}

function call(method, path) {
  const target = OLLAMA_AUTH === '1' ? path + '?ts=' + Math.floor(Date.now() / 1000) : path;
  const headers = {
    'user-agent': 'ollama/0.0.0 (amd64 linux) Go/go1.26.0',
    accept: 'application/json',
    'content-type': 'application/json',
    ...(OLLAMA_AUTH === '1' && { authorization: authorization(method + ',' + target) }),
  };
  const ca = SSL_CERT_FILE && readFileSync(SSL_CERT_FILE);
  return new Promise((resolve, reject) => {
    const body = method === 'POST' ? JSON.stringify({ model: process.argv[3] }) : undefined;
    request(OLLAMA_HOST + target, { method, headers, ca }, async (res) => {
      const text = (await res.setEncoding('utf8').toArray()).join('');
      if (res.statusCode < 400) return resolve(text);
      if (res.statusCode === 401 || text === '') return reject('something went wrong');
      const streams = path === '/api/pull' ? res.statusCode + ' ' + res.statusMessage + ': ' : '';
      reject(streams + JSON.parse(text).error);
    }).on('error', (error) => reject(error.message)).end(body);
  });
}

call('HEAD', '/').then(() => call(method, path)).then(
  (text) => {
    if (path !== '/api/tags') return;
    console.log('NAME');
    for (const { name } of JSON.parse(text).models) console.log(name);
  },
  (reason) => {
    console.error('Error: ' + reason);
    process.exitCode = 1;
  },
);
`;

/** Runs a text in bash, with a home folder of its own in which Ollama has started once. */
async function paste(t: TestContext, text: string, { pem, line }: CliKey) {
  const home = await mkdtemp(join(tmpdir(), 'ollama-guard-cli-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  await mkdir(join(home, '.ollama'));
  await writeFile(join(home, '.ollama', 'id_ed25519'), pem, { mode: 0o600 });
  await writeFile(join(home, '.ollama', 'id_ed25519.pub'), `${line}\n`);
  await mkdir(join(home, 'stand-in'));
  await writeFile(join(home, 'stand-in', 'ollama'), standIn);
  await chmod(join(home, 'stand-in', 'ollama'), 0o700);
  // The program itself comes first.
  const search = [process.env.PATH, dirname(process.execPath), join(home, 'stand-in')].join(delimiter);
  const env = { PATH: search, HOME: home, NO_PROXY: '127.0.0.1,::1' };
  const child = spawn('bash', ['-c', text], { cwd: home, env, detached: true, timeout: 60_000, stdio: 'pipe' });
  child.stdin.end();
  const [out, err, code] = await Promise.all([
    child.stdout.setEncoding('utf8').toArray(),
    child.stderr.setEncoding('utf8').toArray(),
    new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve)),
  ]);
  return { out: out.join(''), err: err.join(''), code };
}

const key = createCliKey('mia@laptop');

async function startEndpoint(t: TestContext, tls: 'off' | 'auto', users: readonly User[]) {
  const seen: string[] = [];
  const demo = await startDemoOllama({ observe: ({ method, path }) => seen.push(`${method} ${path}`) });
  t.after(() => demo.stop());
  const { guard } = await startGuard(t, demo.url, { users, config: { tls: { mode: tls } } });
  const trust = trustOf(guard.tls);
  const client = clients.find(({ id }) => id === 'ollama') ?? assert.fail();
  const snippet = (url = guard.url) =>
    client.render({ url, user: 'mia', apiKey: '', model: 'demo', shell: 'bash', ...(trust && { trust }) });
  return { guard, seen, trust, snippet };
}

for (const tls of ['off', 'auto'] as const) {
  describe(`the ollama command, TLS ${tls}`, { skip: process.platform !== 'linux' && 'needs Linux' }, () => {
    const users = withPublicKey(team.users, 'mia', key);

    it('lists the models once its public key is there', async (t) => {
      const { snippet, seen } = await startEndpoint(t, tls, users);
      const { out, err, code } = await paste(t, snippet(), key);
      assert.equal(code, 0, err);
      assert.match(out, /^NAME/);
      assert.match(out, /^demo:latest/m);
      assert.deepEqual(seen, ['GET /api/tags']);
    });

    it('is told what to do while it is not', async (t) => {
      const { snippet, seen } = await startEndpoint(t, tls, team.users);
      for (const text of [snippet(), snippet().replace('OLLAMA_AUTH=1', 'OLLAMA_AUTH=0')]) {
        const { err, code } = await paste(t, text, key);
        assert.equal(code, 1);
        assert.match(err, /^Error: The ollama command signs in with OLLAMA_AUTH=1 .*~\/\.ollama\/id_ed25519\.pub/);
      }
      assert.deepEqual(seen, []);
    });

    it('is told in its words what its role does not permit, also where it streams', async (t) => {
      const { snippet, seen } = await startEndpoint(t, tls, users);
      const { err, code } = await paste(t, snippet().replace('ollama list', 'ollama pull demo'), key);
      assert.equal(code, 1);
      assert.match(err, /Error: 403 Forbidden: Your role does not permit this/);
      assert.deepEqual(seen, []);
    });
  });
}

describe('a man in the middle', { skip: process.platform !== 'linux' ? 'needs Linux' : without('openssl') }, () => {
  it('gets nothing from the ollama command', async (t) => {
    const { snippet, trust } = await startEndpoint(t, 'auto', team.users);
    assert.ok(trust);
    const impostor = await startImpostor(t, trust, '127.0.0.1');
    const { code } = await paste(t, snippet(impostor.url), key);
    assert.notEqual(code, 0);
    assert.ok(impostor.connections > 0, 'it was not asked at all');
    assert.equal(impostor.received, '');
  });
});
