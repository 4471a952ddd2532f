import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import type { Link } from '../../../src/connector/joined.ts';
import { GuardError } from '../../../src/guard/errors.ts';
import { ConnectorHost } from '../../../src/threads/connectorHost.ts';
import { startFakeOllama } from '../../support/fakeOllama.ts';
import { freePort } from '../../support/freePort.ts';
import { startGuard, type TestGuard } from '../../support/guard.ts';
import { invited } from '../../support/invites.ts';
import { joinedTo } from '../../support/joined.ts';
import { team } from '../../support/people.ts';
import { Signal } from '../../support/signal.ts';

class TestHost {
  readonly links: (readonly [id: string, link: Link])[] = [];
  readonly deaths: GuardError[] = [];
  readonly changed = new Signal();
  readonly host = new ConnectorHost({
    onLink: (id, link) => {
      this.links.push([id, link]);
      this.changed.notify();
    },
    onDeath: (error) => {
      this.deaths.push(error);
      this.changed.notify();
    },
  });

  constructor(t: TestContext) {
    t.after(() => this.host.dispose());
  }

  async statuses(count: number): Promise<readonly string[]> {
    await this.changed.until(() => this.links.length >= count || undefined);
    return this.links.map(([id, { status }]) => `${id} ${status}`);
  }
}

async function endpoint(t: TestContext, users = team.users, port = 0): Promise<TestGuard> {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ models: [] }));
  return startGuard(t, upstream, { users, config: { port } });
}

const never = new AbortController().signal;
const answer = async (url: string) => (await fetch(`${url}/api/tags`)).text();

/** The next worker that this process starts. */
function nextWorker(): Promise<Worker> {
  return new Promise((resolve) => process.once('worker', resolve));
}

test('one thread redeems invites and runs connectors, each on its own port', async (t) => {
  const { users, code } = invited(team.users, 'mia');
  const first = await endpoint(t, users);
  const second = await endpoint(t);
  const { host, links } = new TestHost(t);
  let workers = 0;
  const count = () => {
    workers += 1;
  };
  process.on('worker', count);
  t.after(() => process.off('worker', count));
  const redeemed = await host.redeem({ addresses: [first.guard.url], code, user: 'mia' }, never);
  const one = await host.open({ ...redeemed, port: 0 });
  const two = await host.open({ ...joinedTo(second.guard, team.adam), id: 'another222' });
  assert.notEqual(one.url, two.url);
  for (const { url } of [one, two]) assert.equal(await answer(url), '{"models":[]}');
  await host.close(redeemed.id);
  await assert.rejects(fetch(one.url));
  assert.equal(await answer(two.url), '{"models":[]}');
  await host.dispose();
  await assert.rejects(fetch(two.url));
  assert.deepEqual([workers, links], [1, []]);
});

test('errors keep their code and words on the way', async (t) => {
  const guard = await endpoint(t);
  const { host } = new TestHost(t);
  const invite = { addresses: [guard.guard.url], code: `oi_${'a'.repeat(10)}_${'A'.repeat(22)}`, user: 'mia' };
  await assert.rejects(host.redeem(invite, never), (error) => GuardError.is(error, 'invite-refused'));
  const joined = { ...joinedTo(guard.guard, team.mia), port: guard.port };
  await assert.rejects(host.open(joined), (error) => GuardError.is(error, 'address-in-use'));
});

test('redeeming can be given up', async (t) => {
  const { host } = new TestHost(t);
  const guard = await endpoint(t);
  const code = `oi_${'a'.repeat(10)}_${'A'.repeat(22)}`;
  const invite = { addresses: [guard.guard.url], code, user: 'mia' };
  await assert.rejects(host.redeem(invite, AbortSignal.abort()), { name: 'AbortError' });
  const givenUp = new AbortController();
  const redeeming = host.redeem(invite, givenUp.signal);
  givenUp.abort();
  await assert.rejects(redeeming, { name: 'AbortError' });
});

test('how each connector gets on is told', async (t) => {
  const guard = await endpoint(t);
  const test = new TestHost(t);
  const joined = joinedTo(guard.guard, team.mia);
  const { url } = await test.host.open(joined);
  await answer(url);
  await guard.guard.stop(0);
  assert.match(await answer(url), /not sharing/);
  assert.deepEqual(await test.statuses(1), [`${joined.id} broken`]);
  await endpoint(t, team.users, guard.port);
  await answer(url);
  assert.deepEqual(await test.statuses(2), [`${joined.id} broken`, `${joined.id} open`]);
});

test('a thread that dies breaks every link, and they can be opened again', async (t) => {
  const guard = await endpoint(t);
  const test = new TestHost(t);
  const started = nextWorker();
  const joined = { ...joinedTo(guard.guard, team.mia), port: await freePort() };
  const { url } = await test.host.open(joined);
  const worker = await started;
  await worker.terminate();
  assert.deepEqual(await test.statuses(1), [`${joined.id} broken`]);
  await test.changed.until(() => test.deaths[0]);
  const [, link] = test.links[0] ?? assert.fail();
  assert.ok(link.status === 'broken' && /thread died/.test(link.message.text));
  assert.equal((await test.host.open(joined)).url, url);
  assert.equal(await answer(url), '{"models":[]}');
});

test('a call under way when the thread dies fails', async (t) => {
  const test = new TestHost(t);
  const started = nextWorker();
  const invite = { addresses: ['http://127.0.0.1:1'], code: `oi_${'a'.repeat(10)}_${'A'.repeat(22)}`, user: 'mia' };
  const redeeming = test.host.redeem(invite, never);
  const failed = assert.rejects(redeeming, (error) => GuardError.is(error, 'thread-died'));
  await (await started).terminate();
  await failed;
});
