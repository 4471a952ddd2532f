import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Joined, JoinedEndpoint } from '../../../src/connector/joined.ts';
import { GuardError } from '../../../src/guard/errors.ts';
import { editorLink, type Invite } from '../../../src/guard/share/inviteLink.ts';
import { type Connectors, JoinedKeeper } from '../../../src/windows/joinedKeeper.ts';
import { MemoryJoined } from '../../support/memoryJoined.ts';
import { Signal } from '../../support/signal.ts';

const invite: Invite = {
  addresses: ['http://192.0.2.7:11435'],
  code: `oi_${'a'.repeat(10)}_${'B'.repeat(22)}`,
  user: 'mia',
};
const link = editorLink('vscode', 'test.test', invite);
const ofInvite = (id = 'aaaaaaaaaa'): Omit<Joined, 'port'> => ({
  id,
  user: 'mia',
  addresses: [...invite.addresses],
  apiKey: `og_${id}_${'k'.repeat(43)}`,
});

/** Connectors that only hold their port: real ones have tests of their own. */
class Ports implements Connectors {
  readonly servers = new Map<string, Server>();
  readonly changed: Signal;
  tries = 0;

  constructor(changed: Signal) {
    this.changed = changed;
  }

  async open({ id, port }: Joined): Promise<{ readonly url: string }> {
    this.tries += 1;
    this.changed.notify();
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening').catch(() => {
      throw new GuardError('address-in-use', 'taken');
    });
    this.servers.set(id, server);
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  redeem: Connectors['redeem'] = async () => ofInvite();

  async close(id: string): Promise<void> {
    this.servers.get(id)?.close();
    this.servers.delete(id);
  }

  async dispose(): Promise<void> {
    for (const id of [...this.servers.keys()]) await this.close(id);
  }
}

class TestKeeper {
  readonly store: MemoryJoined;
  readonly changed = new Signal();
  readonly ports = new Ports(this.changed);
  readonly told: (readonly JoinedEndpoint[])[] = [];
  readonly problems: unknown[] = [];
  wait: (ms: number) => Promise<void> = () => assert.fail('waited');
  readonly keeper: JoinedKeeper;

  constructor(t: TestContext, stored: readonly Joined[] = []) {
    this.store = new MemoryJoined(stored);
    this.keeper = new JoinedKeeper({
      store: this.store,
      connectors: this.ports,
      onChange: (joined) => {
        this.told.push(joined);
        this.changed.notify();
      },
      onProblem: (error) => this.problems.push(error),
      wait: (ms) => this.wait(ms),
    });
    t.after(() => this.keeper.close());
  }
}

/** Takes ports away, as other programs do. */
async function hold(t: TestContext, port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return server;
}

test('joining redeems, opens the first port that is free, and keeps it', async (t) => {
  const test = new TestKeeper(t);
  const given: Invite[] = [];
  test.ports.redeem = async (one) => {
    given.push(one);
    return ofInvite();
  };
  await hold(t, 11_436);
  await test.keeper.join(link);
  assert.deepEqual(given, [invite]);
  const { addresses } = invite;
  const expected = {
    id: 'aaaaaaaaaa',
    user: 'mia',
    addresses,
    url: 'http://127.0.0.1:11437',
    link: { status: 'open' },
  };
  assert.deepEqual(test.keeper.joined, [expected]);
  assert.deepEqual(test.told.at(-1), [expected], 'and no secret is in it');
  assert.deepEqual(test.store.stored, [{ ...ofInvite(), port: 11_437 }]);
});

test('a port that a joined endpoint has is not given to another, also while nobody listens there', async (t) => {
  const first = { ...ofInvite('bbbbbbbbbb'), port: 11_436 };
  const test = new TestKeeper(t, [first]);
  await test.keeper.join(link);
  assert.deepEqual(
    test.store.stored.map(({ port }) => port),
    [11_436, 11_437],
  );
});

test('what is stored is opened at its own port, and leaving closes and forgets it', async (t) => {
  const first = { ...ofInvite(), port: 11_440 };
  const test = new TestKeeper(t, [first]);
  await test.keeper.load();
  await test.changed.until(() => test.keeper.joined[0]?.url);
  assert.equal(test.keeper.joined[0]?.url, 'http://127.0.0.1:11440');
  await test.keeper.leave(first.id);
  assert.deepEqual([test.keeper.joined, test.store.stored, test.ports.servers.size], [[], [], 0]);
  await assert.rejects(test.keeper.leave(first.id), (error) => GuardError.is(error, 'joined-unknown'));
});

test('a port that the window before holds is waited for, and one that stays held is told of', async (t) => {
  const first = { ...ofInvite(), port: 11_441 };
  const held = await hold(t, first.port);
  const test = new TestKeeper(t, [first]);
  const waits: number[] = [];
  test.wait = async (ms) => {
    waits.push(ms);
    if (waits.length < 16) assert.equal(test.keeper.joined[0]?.link.status, 'open', 'nothing is said yet');
    if (waits.length !== 17) return;
    assert.equal(test.keeper.joined[0]?.link.status, 'broken');
    const closed = once(held, 'close');
    held.close();
    await closed;
  };
  await test.keeper.load();
  await test.changed.until(() => test.keeper.joined[0]?.url);
  assert.deepEqual(test.keeper.joined[0]?.link, { status: 'open' });
  assert.deepEqual(waits, [...Array(15).fill(500), 10_000, 10_000]);
});

test('an invite is not used up while nothing could be kept of it', async (t) => {
  for (const code of ['data-damaged', 'data-unavailable'] as const) {
    const test = new TestKeeper(t);
    test.ports.redeem = async () => assert.fail('redeemed');
    test.store.readFailure = new GuardError(code, 'no');
    await assert.rejects(test.keeper.load(), (error) => GuardError.is(error, code));
    await assert.rejects(test.keeper.join(link), (error) => GuardError.is(error, code));
    assert.deepEqual(test.keeper.joined, []);
  }
});

test('what cannot be written works for as long as the window is there, and is told', async (t) => {
  const test = new TestKeeper(t);
  test.store.writeFailure = new GuardError('data-unavailable', 'no');
  await assert.rejects(test.keeper.join(link), (error) => GuardError.is(error, 'data-unavailable'));
  assert.match(test.keeper.joined[0]?.url ?? '', /^http:\/\/127\.0\.0\.1:/);
  // What could not be forgotten is not said to be.
  await assert.rejects(test.keeper.leave('aaaaaaaaaa'), (error) => GuardError.is(error, 'data-unavailable'));
  assert.equal(test.keeper.joined.length, 1);
});

test('joining can be given up, and does not hold up what comes after it', async (t) => {
  const test = new TestKeeper(t);
  test.ports.redeem = (_invite, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const joining = assert.rejects(test.keeper.join(link), { name: 'AbortError' });
  await new Promise(setImmediate);
  test.keeper.cancelJoin(link);
  await joining;
  test.ports.redeem = async () => ofInvite();
  await test.keeper.join(link);
  assert.equal(test.keeper.joined.length, 1);
});

test('what is no invite is refused, and how a connector gets on is told', async (t) => {
  const test = new TestKeeper(t);
  await assert.rejects(test.keeper.join('vscode://x/join#nothing'), (error) => GuardError.is(error, 'link-invalid'));
  await test.keeper.join(link);
  const message = { text: 'gone', args: {} };
  test.keeper.onLink('aaaaaaaaaa', { status: 'broken', message });
  test.keeper.onLink('unknown', { status: 'open' });
  assert.deepEqual(test.told.at(-1)?.[0]?.link, { status: 'broken', message });
});

test('connectors that died are opened again, at the same port', async (t) => {
  const test = new TestKeeper(t);
  await test.keeper.join(link);
  const url = test.keeper.joined[0]?.url;
  await test.ports.dispose();
  test.wait = async (ms) => assert.equal(ms, 500);
  test.keeper.onDeath(new GuardError('thread-died', 'died'));
  assert.deepEqual([test.keeper.joined[0]?.url, test.keeper.joined[0]?.link.status], [undefined, 'broken']);
  await test.changed.until(() => test.keeper.joined[0]?.url);
  assert.deepEqual([test.keeper.joined[0]?.url, test.keeper.joined[0]?.link.status], [url, 'open']);
});
