/** Sharing opens a second address for as long as it lasts, for whom it is meant, and nothing of it stays open after. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { GuardError } from '../../src/guard/errors.ts';
import { type FakeOllama, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { overTls } from '../support/overTls.ts';
import { type Person, team } from '../support/people.ts';
import { RawClient, request } from '../support/rawClient.ts';

const shared = '127.0.0.2';
const scheme = overTls === undefined ? 'http' : 'https';
const idOf = ({ name }: Person): string => team.users.find((user) => user.name === name)?.id ?? '';
const tags = ({ bearer }: Person = team.mia) => ({ headers: { authorization: bearer } });

const streaming = (t: TestContext): Promise<FakeOllama> =>
  startFakeOllama(t, (reply) => {
    if (reply.request.method === 'GET') {
      reply.json({ models: [] });
      return;
    }
    reply.stream();
    reply.chunk('first');
  });

async function openStream(t: TestContext, { port }: TestGuard, host: string, person = team.mia): Promise<RawClient> {
  const client = await RawClient.open(t, port, { host });
  client.send({ method: 'POST', path: '/api/chat', ...tags(person), body: '{"model":"demo"}' });
  await client.has('first');
  return client;
}

const statusAt = async (t: TestContext, { port }: TestGuard, host: string, person = team.mia): Promise<number> =>
  (await request(t, port, tags(person), { host })).status;

test('the second address answers while it is shared, at the same port', async (t) => {
  const guard = await startGuard(t, await streaming(t));
  await assert.rejects(statusAt(t, guard, shared));
  assert.equal(await guard.guard.share({ host: shared }), `${scheme}://${shared}:${guard.port}`);
  assert.equal(await statusAt(t, guard, shared), 200);
  assert.equal((await request(t, guard.port, {}, { host: shared })).status, 401);
  assert.equal(await statusAt(t, guard, '127.0.0.1'), 200);
  assert.equal(guard.guard.url, `${scheme}://127.0.0.1:${guard.port}`);

  assert.equal(await guard.guard.share(undefined), undefined);
  await assert.rejects(statusAt(t, guard, shared));
  assert.equal(await statusAt(t, guard, '127.0.0.1'), 200);
});

test('the end of sharing cuts what came by the second address at once, and nothing else', async (t) => {
  const upstream = await streaming(t);
  const guard = await startGuard(t, upstream);
  await guard.guard.share({ host: shared });
  const stream = await openStream(t, guard, shared);
  const idle = await RawClient.open(t, guard.port, { host: shared });
  idle.send(tags());
  await idle.response();
  const fresh = await RawClient.open(t, guard.port, { host: shared });
  const own = await openStream(t, guard, '127.0.0.1');

  await guard.guard.share(undefined);
  await Promise.all([stream, idle, fresh].map((client) => client.closed()));
  await (await upstream.reply(0)).closed();
  (await upstream.reply(2)).chunk('second');
  await own.has('second');
});

test('it is for the users in the list, by the second address alone', async (t) => {
  const guard = await startGuard(t, await streaming(t));
  await guard.guard.share({ host: shared, users: [idOf(team.mia)] });
  assert.equal(await statusAt(t, guard, shared, team.mia), 200);
  assert.equal(await statusAt(t, guard, shared, team.adam), 403);
  assert.equal(await statusAt(t, guard, '127.0.0.1', team.adam), 200);
  const refused = await request(t, guard.port, { ...tags(team.adam), path: '/v1/models' }, { host: shared });
  assert.equal(JSON.parse(refused.text).error.code, 'not-shared');
  assert.match(refused.text, /not shared with you right now/);
  // Somebody who is not known learns nothing of it, and paths are not told apart before it.
  assert.equal((await request(t, guard.port, {}, { host: shared })).status, 401);
  assert.equal((await request(t, guard.port, { ...tags(team.adam), path: '/x' }, { host: shared })).status, 403);

  await guard.guard.share({ host: shared, users: [] });
  assert.equal(await statusAt(t, guard, shared, team.mia), 403);
});

test('another list ends the streams of who is no longer in it, and no others', async (t) => {
  // So that the regular look at every stream does not do it.
  t.mock.timers.enable({ apis: ['setInterval'] });
  const guard = await startGuard(t, await streaming(t));
  await guard.guard.share({ host: shared });
  const mia = await openStream(t, guard, shared, team.mia);
  const adam = await openStream(t, guard, shared, team.adam);
  const own = await openStream(t, guard, '127.0.0.1', team.adam);
  await guard.guard.share({ host: shared, users: [idOf(team.mia)] });
  await adam.closed();
  assert.equal(await statusAt(t, guard, shared, team.mia), 200);
  assert.deepEqual([mia.isClosed, own.isClosed], [false, false]);
});

test('another address takes the place of the one before, whose connections are cut', async (t) => {
  const guard = await startGuard(t, await streaming(t));
  await guard.guard.share({ host: shared });
  const before = await openStream(t, guard, shared);
  assert.equal(await guard.guard.share({ host: '127.0.0.3' }), `${scheme}://127.0.0.3:${guard.port}`);
  await before.closed();
  await assert.rejects(statusAt(t, guard, shared));
  assert.equal(await statusAt(t, guard, '127.0.0.3'), 200);
});

for (const [host, form] of [
  ['127.0.0.1', 'the same address'],
  ['0.0.0.0', 'every IPv4 address'],
  ['::', 'every address'],
] as const) {
  test(`where the guard's own listener reaches (${form}) the list alone applies`, async (t) => {
    const guard = await startGuard(t, await streaming(t), { config: { host } });
    const elsewhere = host === '127.0.0.1' ? undefined : shared;
    const mia = await openStream(t, guard, '127.0.0.1', team.mia);
    const adam = await openStream(t, guard, '127.0.0.1', team.adam);
    const url = await guard.guard.share({ host: '127.0.0.1', users: [idOf(team.mia)] });
    assert.equal(url, `${scheme}://127.0.0.1:${guard.port}`);
    await adam.closed();
    assert.equal(await statusAt(t, guard, '127.0.0.1', team.adam), 403);
    assert.equal(await statusAt(t, guard, '127.0.0.1', team.mia), 200);
    if (elsewhere !== undefined) assert.equal(await statusAt(t, guard, elsewhere, team.adam), 200);

    await guard.guard.share(undefined);
    assert.equal(await statusAt(t, guard, '127.0.0.1', team.adam), 200);
    assert.equal(mia.isClosed, false);
  });
}

test('the address the guard was told to listen on is its own, also by name', async (t) => {
  const guard = await startGuard(t, await streaming(t), { config: { host: 'localhost' } });
  const url = await guard.guard.share({ host: 'localhost', users: [] });
  assert.equal(url, guard.guard.url);
  assert.equal(await statusAt(t, guard, 'localhost'), 403);
});

test('beyond loopback nothing is shared while there is no user', async (t) => {
  const upstream = await streaming(t);
  const noUsers = (error: unknown) =>
    GuardError.is(error, 'no-users') && error.message.startsWith('Listening on 192.0.2.1 shares');
  const empty = await startGuard(t, upstream, { users: [] });
  await assert.rejects(empty.guard.share({ host: '192.0.2.1' }), noUsers);
  const emptied = await startGuard(t, upstream);
  emptied.guard.setUsers([]);
  await assert.rejects(emptied.guard.share({ host: '192.0.2.1' }), noUsers);
});

test('what stands in the way of sharing is an error that says so, and what was shared stays', async (t) => {
  const guard = await startGuard(t, await streaming(t));
  await guard.guard.share({ host: shared });
  const stream = await openStream(t, guard, shared);
  await assert.rejects(guard.guard.share({ host: '203.0.113.1' }), (error) =>
    GuardError.is(error, 'address-not-available'),
  );
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(guard.port, '127.0.0.3', resolve));
  t.after(() => other.close());
  await assert.rejects(
    guard.guard.share({ host: '127.0.0.3' }),
    (error) => GuardError.is(error, 'address-in-use') && error.message.startsWith(`Port ${guard.port} is in use`),
  );
  assert.equal(stream.isClosed, false);
  assert.equal(await statusAt(t, guard, shared), 200);
});

test('changes of sharing wait for one another', async (t) => {
  const guard = await startGuard(t, await streaming(t));
  const url = (host: string) => `${scheme}://${host}:${guard.port}`;
  const done = await Promise.all([
    guard.guard.share({ host: shared }),
    guard.guard.share(undefined),
    guard.guard.share({ host: shared }),
    guard.guard.share({ host: '127.0.0.3' }),
  ]);
  assert.deepEqual(done, [url(shared), undefined, url(shared), url('127.0.0.3')]);
  assert.equal(await statusAt(t, guard, '127.0.0.3'), 200);
  await assert.rejects(statusAt(t, guard, shared));
});

test('stop closes both addresses, and drains the streams of both', async (t) => {
  const upstream = await streaming(t);
  const guard = await startGuard(t, upstream);
  await guard.guard.share({ host: shared });
  const client = await openStream(t, guard, shared);
  const fresh = await RawClient.open(t, guard.port, { host: shared });
  // Answered behind its connection, so that the guard has seen it.
  await statusAt(t, guard, shared);
  const stopped = guard.guard.stop(60_000);
  await fresh.closed();
  await assert.rejects(statusAt(t, guard, shared));
  (await upstream.reply(0)).end();
  assert.equal((await client.response()).complete, true);
  await stopped;
});

test('stop cuts what came by the second address when its drain is over', async (t) => {
  const guard = await startGuard(t, await streaming(t));
  await guard.guard.share({ host: shared });
  const client = await openStream(t, guard, shared);
  await guard.guard.stop(0);
  await client.closed();
});

test('sharing that is under way while the guard stops leaves nothing open', async (t) => {
  const guard = await startGuard(t, await streaming(t));
  const sharing = guard.guard.share({ host: shared });
  // Let it begin to listen.
  await Promise.resolve();
  const stopped = guard.guard.stop(0);
  const late = guard.guard.share({ host: shared });
  assert.deepEqual(await Promise.all([sharing, late]), [undefined, undefined]);
  await stopped;
  await assert.rejects(statusAt(t, guard, shared));
  assert.equal(await guard.guard.share({ host: shared }), undefined);
});
