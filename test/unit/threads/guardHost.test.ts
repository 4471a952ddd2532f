import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import bcrypt from 'bcryptjs';
import { type GuardConfig, parseConfig } from '../../../src/guard/config.ts';
import { GuardError } from '../../../src/guard/errors.ts';
import { bcryptCost } from '../../../src/guard/identity/password.ts';
import { revokeApiKey, type User } from '../../../src/guard/identity/users.ts';
import { inEnglish } from '../../../src/guard/message.ts';
import type { GuardState } from '../../../src/guard/state.ts';
import type { Activity } from '../../../src/guard/usage/activity.ts';
import type { GuardEvent } from '../../../src/guard/usage/events.ts';
import { GuardHost } from '../../../src/threads/guardHost.ts';
import { type FakeOllama, startFakeOllama } from '../../support/fakeOllama.ts';
import { noPorts } from '../../support/guardPorts.ts';
import { basic, team } from '../../support/people.ts';
import { RawClient, type RawRequest, request } from '../../support/rawClient.ts';
import { Signal } from '../../support/signal.ts';

/** A host, what it said so far, and the workers it made. */
class TestHost {
  readonly states: GuardState[] = [];
  readonly events: GuardEvent[] = [];
  readonly activities: Activity[] = [];
  readonly used: Record<string, number> = {};
  readonly host: GuardHost;
  readonly #changed = new Signal();

  constructor() {
    this.host = new GuardHost(
      {
        onState: (state) => {
          this.states.push(state);
          this.#changed.notify();
        },
        onEvents: (events) => {
          this.events.push(...events);
          this.#changed.notify();
        },
        onActivity: (activity) => {
          this.activities.push(activity);
          this.#changed.notify();
        },
        onUsed: (used) => {
          Object.assign(this.used, used);
          this.#changed.notify();
        },
      },
      noPorts(),
    );
  }

  get port(): number {
    const { state } = this.host;
    assert.ok(state.status === 'running', JSON.stringify(state));
    return Number(new URL(state.url).port);
  }

  until(check: () => boolean): Promise<true> {
    return this.#changed.until(() => check() || undefined);
  }
}

const configFor = (upstream: FakeOllama, port = 0): GuardConfig =>
  parseConfig({ host: '127.0.0.1', port, upstream: upstream.url });

async function start(t: TestContext, upstream: FakeOllama, users: readonly User[] = team.users): Promise<TestHost> {
  const test = new TestHost();
  t.after(() => test.host.dispose());
  await test.host.start(configFor(upstream), users);
  return test;
}

const tags: RawRequest = { headers: { authorization: team.mia.bearer } };
const statusOf = async (t: TestContext, port: number, what: RawRequest = tags) => (await request(t, port, what)).status;

/** Streams without an end to everybody, but for the list of models, which the guard asks for itself. */
const streaming = (t: TestContext): Promise<FakeOllama> =>
  startFakeOllama(t, (reply) => {
    if (reply.request.target === '/api/tags') {
      reply.json({ models: [] });
      return;
    }
    reply.stream();
    reply.chunk('{"first":1}\n');
  });

async function openStream(
  t: TestContext,
  port: number,
  { host = '127.0.0.1', authorization = team.mia.bearer } = {},
): Promise<RawClient> {
  const client = await RawClient.open(t, port, { host });
  client.send({ method: 'POST', path: '/api/chat', headers: { authorization }, body: '{"model":"m"}' });
  await client.has('first');
  return client;
}

/** Every worker made while the test runs, by its name; the threads themselves are the host's own business. */
function watchWorkers(t: TestContext): Map<string, Worker> {
  const workers = new Map<string, Worker>();
  const original = Worker.prototype.postMessage;
  const post = t.mock.method(Worker.prototype, 'postMessage');
  post.mock.mockImplementation(function (this: Worker, ...args: Parameters<Worker['postMessage']>) {
    const [message] = args;
    workers.set(typeof message === 'object' && message !== null && 'port' in message ? 'hash' : 'guard', this);
    return original.apply(this, args);
  });
  return workers;
}

test('starts, serves, stops and starts again', async (t) => {
  const upstream = await startFakeOllama(t);
  const { host, states, port } = await start(t, upstream);
  assert.equal(await statusOf(t, port), 200);

  assert.deepEqual(await host.stop(0), { status: 'stopped' });
  await assert.rejects(statusOf(t, port), 'the port is closed');
  const again = await host.start(configFor(upstream, port), team.users);
  assert.equal(again.status, 'running');
  assert.equal(await statusOf(t, port), 200);
  assert.deepEqual(
    states.map(({ status }) => status).filter((status, i, all) => status !== all[i - 1]),
    ['starting', 'running', 'stopping', 'stopped', 'starting', 'running'],
  );
});

test('start and stop take turns, in whatever order they are asked for', async (t) => {
  const upstream = await startFakeOllama(t);
  const { host } = new TestHost();
  t.after(() => host.dispose());
  const config = configFor(upstream);
  const done = await Promise.all([
    host.start(config, team.users),
    host.start(config, team.users),
    host.stop(0),
    host.stop(0),
    host.start(config, team.users),
  ]);
  assert.deepEqual(done.map(({ status }) => status).at(-1), 'running');
});

test('a start that waits for a certificate is given up when the guard is to stop, and the next one goes its way', async (t) => {
  const upstream = await startFakeOllama(t);
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const directory = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
  const { host } = new TestHost();
  t.after(() => host.dispose());
  const asked = once(silent, 'connection');
  const tls = { mode: 'acme', domain: 'gpu.example.org', directory } as const;
  const starting = host.start(parseConfig({ ...configFor(upstream), tls }), team.users);
  const [socket] = await asked;
  t.after(() => socket.destroy());
  assert.deepEqual(await host.stop(60_000), { status: 'stopped' });
  await starting;
  assert.equal((await host.start(configFor(upstream), team.users)).status, 'running');
});

test('a busy port is a failure with its code, and is cured by another start', async (t) => {
  const upstream = await startFakeOllama(t);
  const { host } = new TestHost();
  t.after(() => host.dispose());
  const failed = await host.start(
    configFor({ ...upstream, url: 'http://127.0.0.1:1' } as FakeOllama, upstream.port),
    team.users,
  );
  assert.ok(failed.status === 'failed' && failed.code === 'address-in-use', JSON.stringify(failed));
  assert.match(inEnglish(failed.message), new RegExp(`Port ${upstream.port} is in use`));
  assert.equal((await host.start(configFor(upstream), team.users)).status, 'running');
});

test('a password is compared on the hash thread, and a new one is hashed there', async (t) => {
  const upstream = await startFakeOllama(t);
  const running = await start(t, upstream);
  assert.equal(await statusOf(t, running.port, { headers: { authorization: team.mia.basic } }), 200);
  assert.equal(await statusOf(t, running.port, { headers: { authorization: basic('mia', 'wrong') } }), 401);
  const hash = await running.host.hashPassword('a new password');
  assert.equal(bcrypt.getRounds(hash), bcryptCost);
  assert.ok(await bcrypt.compare('a new password', hash));
  await assert.rejects(running.host.hashPassword(''), (error) => GuardError.is(error, 'password-invalid'));
});

test('users that change while it runs apply to the next request', async (t) => {
  const upstream = await startFakeOllama(t);
  const running = await start(t, upstream, []);
  assert.equal(await statusOf(t, running.port), 401);
  running.host.setUsers(team.users);
  assert.equal(await statusOf(t, running.port), 200);
  assert.ok(running.host.state.status === 'running' && running.host.state.users === 3);
});

test('users that change while it starts are not lost', async (t) => {
  const upstream = await startFakeOllama(t);
  const test = new TestHost();
  t.after(() => test.host.dispose());
  const starting = test.host.start(configFor(upstream), []);
  await test.until(() => test.host.state.status === 'starting');
  test.host.setUsers(team.users);
  const state = await starting;
  assert.ok(state.status === 'running' && state.users === 3, JSON.stringify(state));
  assert.equal(await statusOf(t, test.port), 200);
});

test('streams of a removed user and of a revoked key end', async (t) => {
  const running = await start(t, await streaming(t));
  const open = (authorization: string) => openStream(t, running.port, { authorization });
  const removed = await open(team.mia.bearer);
  const revoked = await open(team.adam.bearer);
  const other = await open(team.adam.basic);

  running.host.setUsers(team.users.filter(({ name }) => name !== 'mia'));
  await removed.closed();
  running.host.setUsers(revokeApiKey(team.users, team.adam.keyId));
  await revoked.closed();
  assert.equal(other.isClosed, false);
});

test('stop lets a stream come to its end within the drain', async (t) => {
  const upstream = await streaming(t);
  const running = await start(t, upstream);
  const client = await openStream(t, running.port);
  const stopped = running.host.stop(60_000);
  assert.deepEqual(upstream.seen, ['GET /api/tags', 'POST /api/chat']);
  const reply = await upstream.reply(1);
  reply.chunk('last');
  reply.end();
  assert.equal((await client.response()).text, '{"first":1}\nlast');
  assert.equal((await stopped).status, 'stopped');
});

for (const name of ['hash', 'guard']) {
  test(`when the ${name} thread dies the guard fails with the reason, closes, and can be started again`, async (t) => {
    const upstream = await startFakeOllama(t);
    const workers = watchWorkers(t);
    const running = await start(t, upstream);
    const { port } = running;
    await workers.get(name)?.terminate();
    await running.until(() => running.host.state.status === 'failed');
    const { state } = running.host;
    assert.ok(state.status === 'failed' && state.code === 'thread-died');
    assert.match(inEnglish(state.message), new RegExp(`${name} thread died`));

    // At once and on the same port: what is left of the old guard must not be in the way.
    const again = await running.host.start(configFor(upstream, port), team.users);
    assert.equal(again.status, 'running', JSON.stringify(again));
    assert.equal(await statusOf(t, port), 200);
    assert.equal(await statusOf(t, port, { headers: { authorization: team.mia.basic } }), 200);
  });
}

test('a thread that dies while a guard starts or stops leaves a host that works', async (t) => {
  const upstream = await startFakeOllama(t);
  const workers = watchWorkers(t);
  const test = new TestHost();
  t.after(() => test.host.dispose());
  const starting = test.host.start(configFor(upstream), team.users);
  await test.until(() => test.host.state.status === 'starting');
  await workers.get('guard')?.terminate();
  assert.equal((await starting).status, 'failed');
  assert.equal((await test.host.start(configFor(upstream), team.users)).status, 'running');
  const stopping = test.host.stop(60_000);
  await test.until(() => test.host.state.status === 'stopping');
  await workers.get('guard')?.terminate();
  assert.equal((await stopping).status, 'stopped');
});

test('events and counts reach the host', async (t) => {
  const upstream = await startFakeOllama(t);
  const running = await start(t, upstream);
  await statusOf(t, running.port);
  await running.until(() => running.events.length > 0);
  assert.equal(running.events[0]?.type, 'request');
  assert.ok(running.host.state.status === 'running' && running.host.state.counts.served === 1);
});

test('a host thread that is blocked does not hold up a stream', async (t) => {
  // Ollama and its client live on a thread of their own, so that this one can be blocked.
  const worker = new Worker(new URL('../../support/streamWitness.ts', import.meta.url), { execArgv: [] });
  t.after(() => worker.terminate());
  const messages: { readonly port?: number; readonly longestGapMs?: number }[] = [];
  const changed = new Signal();
  worker.on('message', (message) => {
    messages.push(message);
    changed.notify();
  });
  const upstreamPort = await changed.until(() => messages[0]?.port);
  const { host } = new TestHost();
  t.after(() => host.dispose());
  const config = parseConfig({ host: '127.0.0.1', port: 0, upstream: `http://127.0.0.1:${upstreamPort}` });
  const state = await host.start(config, team.users);
  assert.ok(state.status === 'running');
  worker.postMessage({ url: state.url, authorization: team.mia.bearer });
  await changed.until(() => messages[1]);

  const blockMs = 600;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs);

  const longestGapMs = await changed.until(() => messages[2]?.longestGapMs);
  assert.ok(longestGapMs < blockMs / 2, `a gap of ${longestGapMs} ms while the host was blocked for ${blockMs} ms`);
});

test('activity is watched across starts, and a request is stopped by its id', async (t) => {
  const upstream = await streaming(t);
  const workers = watchWorkers(t);
  const test = new TestHost();
  t.after(() => test.host.dispose());
  assert.equal(await test.host.stopRequest(1), false);
  test.host.watchActivity(true);
  await test.host.start(configFor(upstream), team.users);
  await test.until(() => test.activities.length > 0);

  await workers.get('guard')?.terminate();
  await test.until(() => test.host.state.status === 'failed');
  test.activities.length = 0;
  await test.host.start(configFor(upstream), team.users);
  const client = await openStream(t, test.port);
  await test.until(() => test.activities.at(-1)?.active[0]?.tokens === 1);
  assert.equal(test.activities.at(-1)?.active[0]?.model, 'm:latest');
  assert.equal(await test.host.stopRequest(1), true);
  await client.closed();
  await test.until(() => test.activities.at(-1)?.done[0]?.outcome === 'stopped');
  assert.equal(await test.host.stopRequest(1), false);
});

test('who signed in is told by id', async (t) => {
  const running = await start(t, await startFakeOllama(t));
  await statusOf(t, running.port);
  await running.until(() => running.used[team.mia.keyId] !== undefined);
  assert.equal(running.activities.length, 0, 'nobody watches');
});

test('a second address is shared and closed, and what stands in the way is a GuardError', async (t) => {
  const upstream = await streaming(t);
  const running = await start(t, upstream);
  const { host, port } = running;
  assert.equal(await host.share({ host: '127.0.0.2' }), `http://127.0.0.2:${port}`);
  const client = await openStream(t, port, { host: '127.0.0.2' });
  const own = await openStream(t, port);
  await assert.rejects(
    host.share({ host: '203.0.113.1' }),
    (error) =>
      GuardError.is(error, 'address-not-available') &&
      error.message.startsWith('This computer has no address 203.0.113.1.') &&
      error.detail.args.host === '203.0.113.1',
  );
  assert.equal(await host.share(undefined), undefined);
  await client.closed();
  assert.equal(own.isClosed, false);
});

test('sharing is part of the state while the guard runs', async (t) => {
  const running = await start(t, await startFakeOllama(t));
  const { host } = running;
  const sharing = { host: '127.0.0.2', url: 'http://127.0.0.2:1', paused: false, afterwards: 'loopback' } as const;
  host.setSharing(sharing);
  await statusOf(t, running.port);
  await running.until(() => running.events.length > 0);
  assert.ok(host.state.status === 'running');
  assert.deepEqual([host.state.sharing, host.state.counts.served], [sharing, 1]);
  host.setSharing(undefined);
  assert.equal('sharing' in host.state, false);
  host.setSharing(sharing);
  await host.stop(0);
  assert.deepEqual(host.state, { status: 'stopped' });
  host.setSharing(sharing);
  assert.deepEqual(host.state, { status: 'stopped' });
  assert.equal(await host.share({ host: '127.0.0.2' }), undefined);
  const again = await host.start(configFor({ url: 'http://127.0.0.1:1' } as FakeOllama), team.users);
  assert.equal('sharing' in again, false);
});
