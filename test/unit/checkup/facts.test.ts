import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext, test } from 'node:test';
import { type CheckupInput, gatherFacts, listensEverywhere } from '../../../src/checkup/facts.ts';
import type { ObservedRequest } from '../../../src/demo/demoOllama.ts';
import { inEnglish } from '../../../src/guard/message.ts';
import type { Sharing } from '../../../src/guard/share/sharing.ts';
import { team } from '../../support/people.ts';
import { demoFor } from '../demo/support.ts';

const now = Date.parse('2026-06-01T00:00:00Z');

const inputFor = (upstream: string, given: Partial<CheckupInput> = {}): CheckupInput => ({
  upstream,
  state: { status: 'stopped' },
  users: [],
  lastUsed: {},
  secretStorage: 'ok',
  environment: {},
  now,
  ...given,
});

/** A server that is no Ollama. */
async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('an Ollama as it comes: loopback, foreign pages refused, cloud off', async (t) => {
  const demo = await demoFor(t, { version: '0.33.0' });
  const { ollama } = await gatherFacts(inputFor(demo.url));
  const { listeners, ...rest } = ollama;
  assert.deepEqual(rest, {
    upstream: demo.url,
    local: true,
    answers: true,
    version: '0.33.0',
    webPages: 'refused',
    account: 'unknown',
    cloud: 'off',
    cloudModels: [],
  });
  if (process.platform === 'linux') {
    assert.deepEqual(
      listeners.map(({ address, pid }) => ({ address, pid })),
      [{ address: '127.0.0.1', pid: process.pid }],
    );
  }
});

test('OLLAMA_ORIGINS=* is seen', async (t) => {
  const demo = await demoFor(t, { origins: '*' });
  assert.equal((await gatherFacts(inputFor(demo.url))).ollama.webPages, 'allowed');
});

test('an origin that is given back is as open as *', async (t) => {
  const upstream = await serve(t, (req, res) => {
    res.setHeader('access-control-allow-origin', req.headers.origin ?? 'null').end('{"version":"0.33.0"}');
  });
  assert.equal((await gatherFacts(inputFor(upstream))).ollama.webPages, 'allowed');
});

test('the account and the cloud models are seen, and nothing of who it is', async (t) => {
  const cloudModels = ['gpt-oss:120b-cloud', 'qwen3:CLOUD'];
  const demo = await demoFor(t, { account: 'signed-in', cloudModels });
  const facts = await gatherFacts(inputFor(demo.url));
  assert.equal(facts.ollama.account, 'signed-in');
  assert.equal(facts.ollama.cloud, 'on');
  assert.deepEqual(facts.ollama.cloudModels, cloudModels);
  assert.doesNotMatch(JSON.stringify(facts), /demo-owner|owner@/);
  const other = await demoFor(t, { account: 'signed-out' });
  assert.equal((await gatherFacts(inputFor(other.url))).ollama.account, 'signed-out');
});

test('an Ollama without the route for it has no account', async (t) => {
  const upstream = await serve(t, (req, res) => {
    res.statusCode = req.url === '/api/version' ? 200 : 404;
    res.end('{"version":"0.5.7"}');
  });
  const { account, cloud } = (await gatherFacts(inputFor(upstream))).ollama;
  assert.deepEqual([account, cloud], ['signed-out', 'unknown']);
});

test('who is signed in is not asked while the cloud is off, and nothing is sent that could be a credential', async (t) => {
  const seen: ObservedRequest[] = [];
  const demo = await demoFor(t, { observe: (request) => seen.push(request) });
  await gatherFacts(inputFor(demo.url));
  assert.deepEqual(
    seen.map(({ method, path }) => `${method} ${path}`),
    ['GET /api/version', 'GET /api/version', 'GET /api/status', 'GET /api/tags'],
  );
  for (const { headers } of seen) {
    const { host, connection, origin, ...rest } = headers;
    assert.deepEqual(rest, {});
  }
});

test('a redirect is not followed', async (t) => {
  const paths: (string | undefined)[] = [];
  const upstream = await serve(t, (req, res) => {
    paths.push(req.url);
    res.writeHead(302, { location: '/elsewhere' }).end();
  });
  const { answers } = (await gatherFacts(inputFor(upstream))).ollama;
  assert.equal(answers, false);
  assert.deepEqual(paths, ['/api/version']);
});

test('what answers with nonsense, too much or not at all is an answer of its own', async (t) => {
  const nonsense = await serve(t, (_, res) => res.end('<p>hello'));
  const { answers, version, cloudModels } = (await gatherFacts(inputFor(nonsense))).ollama;
  assert.deepEqual([answers, version, cloudModels], [true, undefined, []]);

  const markup = await serve(t, (_, res) => res.end('{"version":"[1](command:x)"}'));
  assert.equal((await gatherFacts(inputFor(markup))).ollama.version, undefined);

  const long = await serve(t, (_, res) => res.end(JSON.stringify({ version: '0.33.0', rest: 'x'.repeat(2 ** 20) })));
  assert.equal((await gatherFacts(inputFor(long))).ollama.answers, false);

  const demo = await demoFor(t);
  await demo.stop();
  assert.equal((await gatherFacts(inputFor(demo.url))).ollama.answers, false);
});

test('aborting ends it with the reason, in the middle of any question', async (t) => {
  const reason = new Error('enough');
  for (const path of ['/api/version', '/api/status', '/api/me']) {
    const abort = new AbortController();
    const upstream = await serve(t, (req, res) => {
      if (req.url === path) abort.abort(reason);
      else res.end('{}');
    });
    await assert.rejects(gatherFacts(inputFor(upstream), { signal: abort.signal }), reason, path);
  }
  await assert.rejects(gatherFacts(inputFor('http://127.0.0.1:1'), { signal: AbortSignal.abort(reason) }), reason);
});

test('each step is announced', async (t) => {
  const demo = await demoFor(t);
  const said: string[] = [];
  await gatherFacts(inputFor(demo.url), { onProgress: (step) => said.push(inEnglish(step)) });
  assert.deepEqual(said, [
    'Looking for Ollama',
    'Looking at who can reach Ollama',
    'Trying whether web pages can use Ollama',
    'Looking at the account of Ollama',
  ]);
});

test('the guard on the port of Ollama is no way past it', { skip: process.platform !== 'linux' }, async (t) => {
  const demo = await demoFor(t);
  const guard = createServer().listen(demo.port, '127.0.0.2');
  t.after(() => guard.close());
  await once(guard, 'listening');
  const addresses = async (state: CheckupInput['state']) =>
    (await gatherFacts(inputFor(demo.url, { state }))).ollama.listeners.map(({ address }) => address).toSorted();
  assert.deepEqual(await addresses({ status: 'stopped' }), ['127.0.0.1', '127.0.0.2']);
  const running = {
    status: 'running',
    url: `http://127.0.0.2:${demo.port}`,
    upstream: demo.url,
    users: 0,
    counts: { served: 0, active: 0 },
  } as const;
  assert.deepEqual(await addresses(running), ['127.0.0.1']);
});

test('where the guard is reached is known while it runs, here or in another window', async (t) => {
  const demo = await demoFor(t);
  const endpoint = { url: 'http://127.0.0.1:1', upstream: demo.url, users: 1, counts: { served: 0, active: 0 } };
  const sharing = { host: '192.0.2.5', url: 'http://192.0.2.5:1', paused: false } as Sharing;
  const guardOf = async (state: CheckupInput['state']) => (await gatherFacts(inputFor(demo.url, { state }))).guard;
  assert.deepEqual(await guardOf({ status: 'stopped' }), {});
  assert.deepEqual(await guardOf({ status: 'running', ...endpoint }), { url: endpoint.url });
  assert.deepEqual(await guardOf({ status: 'following', ...endpoint, sharing }), {
    url: endpoint.url,
    sharingUrl: sharing.url,
  });
});

test('a user was there when the user or any of the keys was; hashes are left behind', async (t) => {
  const demo = await demoFor(t);
  const [vera, mia] = team.users;
  assert.ok(vera && mia?.keys[0]);
  const lastUsed = { [mia.id]: 5, [mia.keys[0].id]: 9 };
  const facts = await gatherFacts(inputFor(demo.url, { users: [vera, { ...mia, disabled: true }], lastUsed }));
  assert.deepEqual(facts.users, [
    { name: 'vera', enabled: true, expires: false, createdAt: Date.parse(vera.createdAt), lastSeen: undefined },
    { name: 'mia', enabled: false, expires: false, createdAt: Date.parse(mia.createdAt), lastSeen: 9 },
  ]);
});

describe('OLLAMA_HOST', () => {
  it('is every address, in each way Ollama reads one', () => {
    for (const value of ['0.0.0.0', ' 0.0.0.0:11434 ', '"0.0.0.0"', 'http://0.0.0.0:80/x', '::', '[::]:11434', ':1']) {
      assert.ok(listensEverywhere(value), value);
    }
  });
  it('is one address or none', () => {
    for (const value of ['', ' ', '127.0.0.1', 'localhost:11434', '[::1]:11434', '::1', '10.0.0.1', 'https://a.b/0']) {
      assert.ok(!listensEverywhere(value), value);
    }
  });
});
