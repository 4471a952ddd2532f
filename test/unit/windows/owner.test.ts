import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type DemoOllama, startDemoOllama } from '../../../src/demo/demoOllama.ts';
import { type GuardConfig, parseConfig } from '../../../src/guard/config.ts';
import { GuardError } from '../../../src/guard/errors.ts';
import { inEnglish } from '../../../src/guard/message.ts';
import type { PolicyDocument } from '../../../src/guard/policy/policyDocument.ts';
import type { Sharing } from '../../../src/guard/share/sharing.ts';
import type { GuardState } from '../../../src/guard/state.ts';
import { ConnectorHost } from '../../../src/threads/connectorHost.ts';
import { GuardHost } from '../../../src/threads/guardHost.ts';
import type { Interfaces } from '../../../src/windows/followInterface.ts';
import { JoinedKeeper } from '../../../src/windows/joinedKeeper.ts';
import { LastUsed } from '../../../src/windows/lastUsed.ts';
import type { Outcome, Wanted } from '../../../src/windows/messages.ts';
import { Owner } from '../../../src/windows/owner.ts';
import { type StoredUsers, type UserStore, UsersKeeper } from '../../../src/windows/usersKeeper.ts';
import { freePort } from '../../support/freePort.ts';
import { noPorts } from '../../support/guardPorts.ts';
import { MemoryJoined } from '../../support/memoryJoined.ts';
import { team } from '../../support/people.ts';
import { RawClient, request } from '../../support/rawClient.ts';
import { Signal } from '../../support/signal.ts';
import { temporaryFolder } from './support.ts';

const done: Outcome = { done: true };
const other = '127.0.0.2';
/** An address for documentation, which no computer has: listening there fails, and nothing is sent. */
const notHere = '192.0.2.1';

/** A store of users that a test can hold up. */
class HeldStore implements UserStore {
  stored: StoredUsers = { users: team.users, revision: 1 };
  held: PromiseWithResolvers<void> | undefined;
  reads = 0;
  failure: GuardError | undefined;

  async read(): Promise<StoredUsers> {
    this.reads += 1;
    await this.held?.promise;
    if (this.failure !== undefined) throw this.failure;
    return this.stored;
  }

  async write(_before: StoredUsers, after: StoredUsers): Promise<void> {
    this.stored = after;
  }
}

/** An owner with a real guard in front of the demo Ollama. */
class TestOwner {
  readonly store = new HeldStore();
  /** What the guard's host did. */
  readonly states: GuardState[] = [];
  /** What the other windows would see of it. */
  readonly shown: GuardState['status'][] = [];
  readonly wanted: (Wanted | null)[] = [];
  /** By so many milliseconds its clock is ahead. */
  later = 0;
  interfaces: Interfaces = {};
  readonly #changed = new Signal();
  readonly host: GuardHost;
  readonly owner: Owner;
  readonly config: GuardConfig;
  readonly #t: TestContext;

  private constructor(t: TestContext, folder: string, config: GuardConfig) {
    this.#t = t;
    this.config = config;
    const onChange = () => {
      this.states.push(this.host.state);
      this.wanted.push(this.owner.snapshot.wanted);
      const { status } = this.owner.snapshot.state;
      if (this.shown.at(-1) !== status) this.shown.push(status);
      this.#changed.notify();
    };
    this.host = new GuardHost({ onState: onChange, onEvents: () => undefined }, noPorts());
    const users = new UsersKeeper(this.store, { users: [], revision: 0 }, (kept) => this.host.setUsers(kept.users));
    const now = () => Date.now() + this.later;
    const joined = new JoinedKeeper({
      store: new MemoryJoined(),
      connectors: new ConnectorHost({ onLink: () => undefined }),
      onChange,
      onProblem: () => undefined,
    });
    const lastUsed = new LastUsed(folder);
    const interfaces = () => this.interfaces;
    this.owner = new Owner({ host: this.host, users, lastUsed, joined, onChange, now, interfaces });
    t.after(async () => {
      await this.owner.close();
      await this.host.dispose();
    });
  }

  static async open(t: TestContext, config: Partial<GuardConfig> = {}): Promise<TestOwner> {
    const demo = await startDemo(t);
    const folder = await temporaryFolder(t);
    const port = config.port ?? (await freePort());
    return new TestOwner(t, folder, parseConfig({ host: '127.0.0.1', upstream: demo.url, ...config, port }));
  }

  get port(): number {
    return this.config.port;
  }

  get sharing(): Sharing | undefined {
    const { state } = this.host;
    return state.status === 'running' ? state.sharing : undefined;
  }

  /** How often a start was tried. */
  get starts(): number {
    const statuses = this.states.map(({ status }) => status);
    return statuses.filter((status, i) => status === 'starting' && statuses[i - 1] !== status).length;
  }

  until(check: () => boolean): Promise<true> {
    return this.#changed.until(() => check() || undefined);
  }

  async status(host = '127.0.0.1', authorization = team.mia.bearer): Promise<number | 'refused'> {
    try {
      return (await request(this.#t, this.port, { headers: { authorization } }, { host })).status;
    } catch {
      return 'refused';
    }
  }

  /** What a member is answered who uses a model. */
  async statusOfUse(host = '127.0.0.1'): Promise<number> {
    const body = JSON.stringify({ model: 'demo', input: 'hello' });
    const headers = { authorization: team.mia.bearer, 'content-type': 'application/json' };
    return (await request(this.#t, this.port, { method: 'POST', path: '/api/embed', headers, body }, { host })).status;
  }

  /** A stream that has begun and goes on for as long as it is let. */
  async stream(host = '127.0.0.1', authorization = team.mia.bearer): Promise<RawClient> {
    const client = await RawClient.open(this.#t, this.port, { host });
    const body = JSON.stringify({ model: 'demo', prompt: 'hello' });
    client.send({ method: 'POST', path: '/api/generate', headers: { authorization }, body });
    await client.has('"response"');
    return client;
  }
}

async function startDemo(t: TestContext): Promise<DemoOllama> {
  const demo = await startDemoOllama({ tokensPerSecond: 50, tokens: 1_000_000 });
  t.after(() => demo.stop());
  return demo;
}

/** Takes a port away. */
async function hold(t: TestContext, port: number, host = '127.0.0.1'): Promise<Server> {
  const server = createServer((socket) => socket.destroy()).listen(port, host);
  await once(server, 'listening');
  t.after(() => server.close());
  return server;
}

function failureOf(outcome: Outcome): string | undefined {
  return 'code' in outcome ? outcome.code : undefined;
}

/** Sharing of an earlier window. */
const sharingAt = (host: string, more: Partial<Sharing> = {}): Sharing => ({
  host,
  url: '',
  paused: false,
  afterwards: 'loopback',
  ...more,
});

test('starts and stops; what is wanted is what runs', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  assert.deepEqual(await owner.start(config), done);
  assert.deepEqual(owner.snapshot.wanted, { config });
  assert.equal(await test.status(), 200);
  assert.deepEqual(await owner.stop(), done);
  assert.deepEqual([owner.snapshot.state, owner.snapshot.wanted], [{ status: 'stopped' }, null]);
  assert.equal(await test.status(), 'refused');
});

test('a start while another is under way changes nothing, and a stop after it wins', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  assert.deepEqual(await Promise.all([owner.start(config), owner.start({ ...config, port: 1 })]), [done, done]);
  assert.deepEqual([test.starts, await test.status()], [1, 200]);
  await Promise.all([owner.stop(), owner.start(config), owner.stop()]);
  assert.equal(owner.snapshot.state.status, 'stopped');
});

test('what is coming is wanted, and what failed is not', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  const starting = owner.start(config);
  await test.until(() => owner.snapshot.state.status === 'starting');
  assert.deepEqual(owner.snapshot.wanted, { config });
  await starting;
  await owner.share(config, { host: other });
  const restarting = owner.restart({ ...config, maxBodyBytes: 1 });
  await test.until(() => owner.snapshot.state.status === 'stopping');
  const { wanted } = owner.snapshot;
  assert.deepEqual([wanted?.config.maxBodyBytes, wanted?.sharing?.host], [1, other]);
  await restarting;
  await owner.stop();
  await hold(t, test.port);
  assert.deepEqual(await owner.start(config), done, 'the outcome is the state');
  assert.deepEqual([owner.snapshot.state.status, owner.snapshot.wanted], ['failed', null]);
});

test('a restart goes by the new configuration, and sharing goes on', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await owner.start(config);
  await owner.share(config, { host: other, users: [team.users[1]?.id ?? ''] });
  const next = { ...config, maxBodyBytes: 1, host: '0.0.0.0' };
  assert.deepEqual(await owner.restart(next), done);
  assert.deepEqual([await test.status(other), await test.status(other, team.adam.bearer)], [200, 403]);
  assert.deepEqual(owner.snapshot.wanted?.config, { ...next, host: '127.0.0.1' }, 'and not wider beside it');
  await owner.endSharing();
  assert.deepEqual([await test.status(other), await test.status()], ['refused', 200]);
});

/** Under it members may look and no more. */
const lookOnly = { roles: { member: { can: ['read' as const] } } };

test('a policy applies to the running guard and is part of what is wanted; one that is not valid changes nothing', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  assert.deepEqual(await owner.setPolicy(lookOnly), done, 'before a start there is nothing to do');
  await owner.start(config);
  assert.equal(await test.statusOfUse(), 200);

  assert.deepEqual(await owner.setPolicy(lookOnly), done);
  assert.deepEqual([await test.status(), await test.statusOfUse()], [200, 403]);
  assert.deepEqual([owner.snapshot.wanted?.config.policy, test.starts], [lookOnly, 1]);

  // Another window may say anything.
  const invalid = { roles: { member: { can: ['infer', 'fly'] } } } as unknown as PolicyDocument;
  assert.equal(failureOf(await owner.setPolicy(invalid)), 'policy-invalid');
  assert.equal(await test.statusOfUse(), 403);
  assert.deepEqual(owner.snapshot.wanted?.config.policy, lookOnly);

  await owner.share(config, { host: other });
  assert.equal(await test.statusOfUse(other), 403, 'sharing goes by it too');
  await owner.restart(config);
  assert.equal(await test.statusOfUse(), 200, 'a restart goes by the settings');
});

test('a policy that comes while the guard starts is not lost', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  assert.deepEqual(await Promise.all([owner.start(config), owner.setPolicy(lookOnly)]), [done, done]);
  assert.equal(await test.statusOfUse(), 403);
});

test('users that are damaged are no guard at all', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  test.store.failure = new GuardError('data-damaged', 'The stored users are damaged.');
  assert.deepEqual(await owner.start(config), done);
  const { state } = owner.snapshot;
  assert.ok(state.status === 'failed' && state.code === 'data-damaged');
  assert.equal(await test.status(), 'refused');
});

test('shares for some users, pauses at once, resumes, and goes back to loopback', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await owner.start(config);
  const [, mia] = team.users;
  assert.deepEqual(await owner.share(config, { host: other, users: [mia?.id ?? ''] }), done);
  const url = `http://${other}:${test.port}`;
  assert.deepEqual(test.sharing, { host: other, users: [mia?.id], url, paused: false, afterwards: 'loopback' });
  assert.deepEqual([await test.status(other), await test.status(other, team.adam.bearer)], [200, 403]);
  const [own, shared] = [await test.stream(), await test.stream(other)];

  assert.deepEqual(await owner.pauseSharing(true), done);
  await shared.closed();
  assert.equal(await test.status(other), 'refused');
  assert.deepEqual([test.sharing?.paused, test.sharing?.url], [true, url]);
  assert.deepEqual(await owner.pauseSharing(true), done, 'once more changes nothing');

  assert.deepEqual(await owner.pauseSharing(false), done);
  assert.deepEqual([await test.status(other), await test.status(other, team.adam.bearer)], [200, 403]);
  const again = await test.stream(other);
  assert.deepEqual(await owner.endSharing(), done);
  await again.closed();
  assert.deepEqual([test.sharing, await test.status(other), await test.status()], [undefined, 'refused', 200]);
  assert.equal(own.isClosed, false);
});

test('sharing that started the guard ends with it, when its time has come', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  assert.deepEqual(await owner.share(config, { host: other, until: Date.now() + 300 }), done);
  await test.until(() => owner.snapshot.state.status === 'stopped');
  assert.equal(owner.snapshot.wanted, null);
  assert.equal(await test.status(), 'refused');
});

test('sharing of a guard that ran ends without it, also while it is paused', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await owner.start(config);
  for (const paused of [false, true]) {
    await owner.share(config, { host: other, until: Date.now() + 300 });
    await owner.pauseSharing(paused);
    await test.until(() => test.sharing === undefined);
    assert.deepEqual([await test.status(other), await test.status()], ['refused', 200]);
  }
});

test('an end that is further away than a timer goes is not now, and a new plan replaces the old end', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await owner.start(config);
  await owner.share(config, { host: other, until: Date.now() + 2 ** 31 + 60_000 });
  assert.equal(await test.status(other), 200);
  assert.notEqual(test.sharing, undefined);
  const until = Date.now() + 200;
  await owner.share(config, { host: other, until });
  await owner.share(config, { host: other });
  await new Promise((resolve) => setTimeout(resolve, until + 50 - Date.now()));
  await owner.pauseSharing(false);
  assert.equal(test.sharing?.until, undefined);
  assert.equal(await test.status(other), 200);
});

test('sharing that ran out while the computer slept, and its timers with it, ends soon after', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await owner.start(config);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await owner.share(config, { host: other, until: Date.now() + 3_600_000 });
  t.mock.timers.tick(10_000);
  assert.deepEqual(await owner.pauseSharing(false), done);
  assert.notEqual(test.sharing, undefined);
  test.later = 8 * 3_600_000;
  t.mock.timers.tick(10_000);
  await test.until(() => test.sharing === undefined);
  t.mock.timers.reset();
  assert.deepEqual([await test.status(other), await test.status()], ['refused', 200]);
});

test('what another window asks for is checked: an address left out would be every one', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  for (const host of ['', undefined as unknown as string, '127.0.0.1:80']) {
    assert.equal(failureOf(await owner.share(config, { host })), 'config-invalid');
  }
  assert.equal(test.starts, 0);
  assert.deepEqual(await owner.start({ ...config, host: '' }), done);
  const { state } = owner.snapshot;
  assert.equal(state.status === 'failed' && state.code, 'config-invalid');
});

test('sharing on loopback is for some, and nobody is let in there while it is paused', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await owner.share(config, { host: '127.0.0.1', users: [team.users[1]?.id ?? ''] });
  const stream = await test.stream();
  assert.deepEqual([await test.status(), await test.status('127.0.0.1', team.adam.bearer)], [200, 403]);
  await owner.pauseSharing(true);
  await stream.closed();
  assert.equal(await test.status(), 403);
  await owner.pauseSharing(false);
  assert.equal(await test.status(), 200);
  await owner.endSharing();
  assert.equal(await test.status(), 'refused');
});

test('while it is shared on purpose the guard listens nowhere else but on loopback', async (t) => {
  const test = await TestOwner.open(t, { host: '0.0.0.0' });
  const { owner, config } = test;
  await owner.start(config);
  assert.equal(await test.status('127.0.0.3'), 200);
  assert.deepEqual(await owner.share(config, { host: other }), done);
  assert.deepEqual(
    [await test.status('127.0.0.3'), await test.status(other), await test.status()],
    ['refused', 200, 200],
  );
  await owner.endSharing();
  assert.deepEqual([await test.status(other), await test.status()], ['refused', 200]);
});

for (const { before, host } of [
  { before: 'nothing', host: '127.0.0.1' },
  { before: 'loopback', host: '127.0.0.1' },
  { before: 'wider', host: '0.0.0.0' },
]) {
  test(`sharing that cannot listen is an error and leaves what was: ${before}`, async (t) => {
    const test = await TestOwner.open(t, { host });
    const { owner, config } = test;
    if (before !== 'nothing') await owner.start(config);
    assert.equal(failureOf(await owner.share(config, { host: notHere })), 'address-not-available');
    const running = before === 'nothing' ? 'refused' : 200;
    assert.deepEqual([await test.status(), test.sharing], [running, undefined]);
    assert.equal(await test.status(other), before === 'wider' ? 200 : 'refused');
    assert.deepEqual(owner.snapshot.wanted, before === 'nothing' ? null : { config });
  });
}

test('sharing elsewhere that cannot listen leaves the sharing that was, also when that started the guard', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await owner.share(config, { host: other });
  const stream = await test.stream(other);
  const { sharing } = test;
  assert.equal(failureOf(await owner.share(config, { host: notHere })), 'address-not-available');
  assert.deepEqual(test.sharing, sharing);
  assert.equal(await test.status(other), 200);
  assert.equal(stream.isClosed, false);
});

test('takes over sharing as it was, paused or not', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  const wanted = { config, sharing: sharingAt(other, { afterwards: 'stop', users: [team.users[1]?.id ?? ''] }) };
  const takingOver = owner.takeOver(wanted);
  assert.deepEqual(
    [owner.snapshot.state, owner.snapshot.wanted],
    [{ status: 'starting' }, wanted],
    'from the first moment',
  );
  assert.deepEqual(await takingOver, done);
  assert.deepEqual([await test.status(other), await test.status(other, team.adam.bearer)], [200, 403]);
  assert.equal(test.sharing?.url, `http://${other}:${test.port}`);
  assert.ok(
    test.wanted.every((wanted) => wanted?.sharing?.host === other),
    'at no moment without sharing',
  );
  await owner.endSharing();
  assert.equal(owner.snapshot.state.status, 'stopped');

  await owner.takeOver({ config, sharing: sharingAt(other, { paused: true }) });
  assert.deepEqual([await test.status(other), await test.status(), test.sharing?.paused], ['refused', 200, true]);
});

for (const { afterwards, status } of [
  { afterwards: 'stop', status: 'stopped' },
  { afterwards: 'loopback', status: 'running' },
] as const) {
  test(`takes over sharing that has run out as ${status}`, async (t) => {
    const test = await TestOwner.open(t);
    const { owner, config } = test;
    const sharing = sharingAt(other, { until: Date.now() - 1, afterwards });
    assert.deepEqual(await owner.takeOver({ config, sharing }), done);
    assert.equal(owner.snapshot.state.status, status);
    assert.equal(test.shown.at(-1), status, 'and tells so');
    assert.deepEqual(owner.snapshot.wanted, status === 'running' ? { config } : null);
    assert.equal(await test.status(other), 'refused');
  });

  test(`takes over sharing on an address that has gone, and is ${status} after it`, async (t) => {
    const test = await TestOwner.open(t);
    const { owner, config } = test;
    const outcome = await owner.takeOver({ config, sharing: sharingAt(notHere, { afterwards }) });
    assert.equal(failureOf(outcome), 'address-not-available');
    assert.equal(owner.snapshot.state.status, status);
    assert.equal(test.sharing, undefined);
  });
}

test('waits for a port that is held for a while, and shows a start', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  const holder = await hold(t, test.port);
  const takingOver = owner.takeOver({ config });
  await test.until(() => test.starts >= 2);
  assert.deepEqual(owner.snapshot.wanted, { config });
  holder.close();
  assert.deepEqual(await takingOver, done);
  assert.equal(await test.status(), 200);
  assert.deepEqual(test.shown, ['starting', 'running']);
});

test('names the program that has the port', { skip: process.platform !== 'linux' && 'by /proc' }, async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  const listen = `require('node:net').createServer().listen(${test.port}, '127.0.0.1', () => process.send('up'))`;
  const child = fork('', { execArgv: ['--eval', listen] });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'message');
  const nearby = await hold(t, test.port, other);
  const named = `Port ${test.port} is in use by node (process ${child.pid}). Stop that program or choose another port.`;
  const words = () => {
    const { state } = owner.snapshot;
    return state.status === 'failed' ? [state.code, inEnglish(state.message)] : state;
  };
  await owner.start(config);
  assert.deepEqual(words(), ['address-in-use', named]);
  nearby.close();
  const takingOver = owner.takeOver({ config });
  await test.until(() => test.starts === 2);
  test.later = 60_000;
  await takingOver;
  assert.deepEqual(words(), ['address-in-use', named]);
  assert.equal(test.shown.at(-1), 'failed');
  assert.equal(owner.snapshot.wanted, null);
});

test('a stop while it waits for the port wins at once', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await hold(t, test.port);
  const takingOver = owner.takeOver({ config });
  await test.until(() => test.starts >= 1 && test.host.state.status === 'failed');
  const { starts } = test;
  assert.deepEqual(await owner.stop(), done);
  assert.deepEqual([owner.snapshot.state.status, owner.snapshot.wanted], ['stopped', null]);
  assert.ok(test.starts <= starts + 1, `${test.starts - starts} more tries`);
  assert.deepEqual(await takingOver, done);
});

test('a start elsewhere ends the wait for the port', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await hold(t, test.port);
  void owner.takeOver({ config });
  await test.until(() => test.starts >= 1);
  const elsewhere = { ...config, port: await freePort() };
  await owner.start(elsewhere);
  assert.deepEqual(owner.snapshot.wanted, { config: elsewhere });
  assert.equal(owner.snapshot.state.status, 'running');
});

type Step = (test: TestOwner) => Promise<Outcome>;

const steps: Readonly<Record<string, Step>> = {
  start: ({ owner, config }) => owner.start(config),
  stop: ({ owner }) => owner.stop(),
  restart: ({ owner, config }) => owner.restart(config),
  share: ({ owner, config }) => owner.share(config, { host: other, until: Date.now() + 60_000 }),
  'end of sharing': ({ owner }) => owner.endSharing(),
  'take-over': ({ owner, config }) => owner.takeOver({ config, sharing: sharingAt(other) }),
};

for (const [name, step] of Object.entries(steps)) {
  for (const ran of [false, true]) {
    test(`closes in the middle of a ${name}${ran ? ' of what ran' : ''}`, async (t) => {
      const test = await TestOwner.open(t, { host: '0.0.0.0' });
      const { owner, config } = test;
      if (ran) await owner.start(config);
      const count = test.states.length;
      const outcome = step(test);
      // As far into the step as it gets: the first thing it does, or its end.
      await Promise.race([test.until(() => test.states.length > count), outcome]);
      const waiting = owner.start(config);
      await owner.close();
      assert.ok(['done', 'window-gone'].includes(failureOf(await outcome) ?? 'done'));
      assert.equal(failureOf(await waiting), 'window-gone');
      assert.equal(test.host.state.status, 'stopped');
      assert.equal(await test.status(), 'refused');
      assert.equal(failureOf(await owner.start(config)), 'window-gone');
      assert.equal(failureOf(await owner.edit({ kind: 'remove-user', name: 'mia' })), 'window-gone');
      assert.equal(test.host.state.status, 'stopped');
    });
  }
}

test('closes while it waits for the port', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await hold(t, test.port);
  const takingOver = owner.takeOver({ config });
  await test.until(() => test.starts >= 1 && test.host.state.status === 'failed');
  const { starts } = test;
  await owner.close();
  assert.equal(failureOf(await takingOver), 'window-gone');
  assert.ok(test.starts <= starts + 1);
});

test('closes while the store of the users does not answer, and starts nothing later', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  test.store.held = Promise.withResolvers();
  const starting = owner.start(config);
  await until(() => test.store.reads > 0);
  await owner.close();
  test.store.held.resolve();
  assert.equal(failureOf(await starting), 'window-gone');
  assert.equal(test.starts, 0);
  assert.equal(test.host.state.status, 'stopped');
});

test('an edit under way is stored before it closes', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, store, config } = test;
  await owner.start(config);
  store.held = Promise.withResolvers();
  const { reads } = store;
  const edit = owner.edit({ kind: 'remove-user', name: 'mia' });
  await until(() => store.reads > reads);
  let isClosed = false;
  const closing = owner.close().then(() => {
    isClosed = true;
  });
  await test.until(() => test.host.state.status === 'stopped');
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.equal(isClosed, false);
  store.held.resolve();
  assert.deepEqual(await edit, done);
  await closing;
  assert.deepEqual(
    store.stored.users.map(({ name }) => name),
    ['vera', 'adam'],
  );
});

async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise(setImmediate);
}

/** Network interfaces with these addresses, a line an interface. */
function networks(addresses: Readonly<Record<string, readonly string[]>>): Interfaces {
  const entry = (address: string) =>
    address.includes(':')
      ? { address, family: 'IPv6' as const, internal: false, cidr: null, mac: '', netmask: '', scopeid: 0 }
      : { address, family: 'IPv4' as const, internal: false, cidr: null, mac: '', netmask: '' };
  return Object.fromEntries(Object.entries(addresses).map(([name, all]) => [name, all.map(entry)]));
}

test('sharing follows its interface to a new address, and stays where it is while there is none', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  await owner.start(config);
  const next = '127.0.0.3';
  test.interfaces = networks({ wifi: [other], cable: ['127.0.0.4'] });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await owner.share(config, { host: other, interfaceName: 'wifi', users: [team.users[1]?.id ?? ''] });
  const own = await test.stream();

  test.interfaces = networks({ wifi: ['fe80::1'], cable: ['127.0.0.4'] });
  t.mock.timers.tick(2_000);
  await owner.pauseSharing(false);
  assert.deepEqual([await test.status(other), test.sharing?.host], [200, other]);

  test.interfaces = networks({ wifi: ['169.254.7.7', '::1', next], cable: ['127.0.0.4'] });
  t.mock.timers.tick(2_000);
  await test.until(() => test.sharing?.host === next);
  assert.equal(test.sharing?.url, `http://${next}:${test.port}`);
  assert.deepEqual([await test.status(next), await test.status(next, team.adam.bearer)], [200, 403]);
  assert.equal(await test.status(other), 'refused');
  assert.equal(own.isClosed, false);
  assert.equal(test.wanted.at(-1)?.sharing?.host, next, 'another window goes on there');
});

test('sharing that is resumed or taken over goes on at the address its interface has by then', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  const next = '127.0.0.3';
  test.interfaces = networks({ wifi: [next] });
  const sharing = sharingAt(other, { interfaceName: 'wifi' });
  assert.deepEqual(await owner.takeOver({ config, sharing }), done);
  assert.deepEqual([await test.status(next), await test.status(other)], [200, 'refused']);
  await owner.pauseSharing(true);
  test.interfaces = networks({ wifi: ['127.0.0.5'] });
  assert.deepEqual(await owner.pauseSharing(false), done);
  assert.deepEqual([await test.status('127.0.0.5'), await test.status(next)], [200, 'refused']);
});

test('sharing without an interface does not move', async (t) => {
  const test = await TestOwner.open(t);
  const { owner, config } = test;
  test.interfaces = networks({ wifi: ['127.0.0.3'] });
  await owner.share(config, { host: other });
  assert.deepEqual([await test.status(other), test.sharing?.host], [200, other]);
});
