import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ListedModel } from '../../../src/guard/policy/lists.ts';
import { listedModels, RemoteModels } from '../../../src/guard/policy/remoteModels.ts';

const maxAgeMs = 10_000;
const usableMs = 300_000;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const remote = (...names: string[]): readonly ListedModel[] => names.map((name) => ({ names: [name], remote: true }));

/** Models as they are read, and a clock. */
function setUp(read: () => Promise<readonly ListedModel[]>) {
  const clock = { now: 0, reads: 0 };
  const counted = () => {
    clock.reads += 1;
    return read();
  };
  const failures: unknown[] = [];
  const onFailure = (error: unknown) => failures.push(error);
  return { clock, failures, models: new RemoteModels({ read: counted, maxAgeMs, onFailure, now: () => clock.now }) };
}

test('SEC-9: an alias of a remote model is known once the list was read, in its short form', async () => {
  const { models } = setUp(async () => [...remote('Team/Alias', 'y:7b'), { names: ['x:latest'], remote: false }]);
  assert.equal(models.isRemote('team/alias:latest'), false);
  await models.fresh();
  assert.equal(models.isRemote('team/alias:latest'), true);
  assert.equal(models.isRemote('y:7b'), true);
  assert.equal(models.isRemote('x:latest'), false);
});

test('a model of ollama.com does not make the local one of the same name remote', async () => {
  const { models } = setUp(async () => remote('gpt-oss:20b-cloud', 'qwen3:cloud'));
  await models.fresh();
  assert.equal(models.isRemote('gpt-oss:20b'), false);
  assert.equal(models.isRemote('qwen3:latest'), false);
});

test('the list is read once for all who wait, and again when it is old', async () => {
  const list = Promise.withResolvers<readonly ListedModel[]>();
  const { models, clock } = setUp(() => list.promise);
  const waiting = Promise.all([models.fresh(), models.fresh(), models.fresh()]);
  list.resolve(remote('a'));
  await waiting;
  assert.equal(clock.reads, 1);
  clock.now = maxAgeMs - 1;
  await models.fresh();
  assert.equal(clock.reads, 1);
  clock.now = maxAgeMs;
  await models.fresh();
  assert.equal(clock.reads, 2);
});

test('a model that is gone from the list is remote no longer', async () => {
  let names = ['a', 'b'];
  const { models, clock } = setUp(async () => remote(...names));
  await models.fresh();
  names = ['b'];
  clock.now = maxAgeMs;
  await models.fresh();
  assert.deepEqual(
    ['a:latest', 'b:latest'].map((name) => models.isRemote(name)),
    [false, true],
  );
});

test('while the list cannot be read, an older one will do for five minutes, and every request asks again', async () => {
  let fails = false;
  const { models, clock, failures } = setUp(async () => {
    if (fails) throw new Error('down');
    return remote('a');
  });
  assert.equal(await models.fresh(), true);
  fails = true;
  clock.now = usableMs - 1;
  assert.equal(await models.fresh(), true);
  assert.equal(await models.fresh(), true);
  assert.equal(models.isRemote('a:latest'), true);
  assert.equal(clock.reads, 3);
  clock.now = usableMs;
  assert.equal(await models.fresh(), false);
  fails = false;
  assert.equal(await models.fresh(), true);
  assert.equal(failures.length, 1);
});

test('SEC-47: while no list was read yet, nothing is known', async () => {
  let fails = true;
  const { models, failures } = setUp(() => {
    if (fails) throw new Error('down');
    return Promise.resolve([]);
  });
  assert.equal(await models.fresh(), false);
  assert.equal(await models.fresh(), false);
  assert.equal(String(failures), 'Error: down');
  fails = false;
  assert.equal(await models.fresh(), true);
});

test('each failure after a list is told once', async () => {
  let fails = true;
  const { models, clock, failures } = setUp(async () => {
    if (fails) throw new Error('down');
    return [];
  });
  await models.fresh();
  await models.fresh();
  fails = false;
  await models.fresh();
  fails = true;
  clock.now = maxAgeMs;
  await models.fresh();
  assert.equal(failures.length, 2);
});

test('a list that does not come is waited for only so long when an older one will do', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let comes = true;
  const { models, clock } = setUp(() => (comes ? Promise.resolve([]) : new Promise(() => {})));
  await models.fresh();
  comes = false;
  clock.now = maxAgeMs;
  const waiting = models.fresh();
  t.mock.timers.tick(2_000);
  assert.equal(await waiting, true);
});

test('the age of a list counts from when it was asked for', async () => {
  const list = Promise.withResolvers<readonly ListedModel[]>();
  const { models, clock } = setUp(() => list.promise);
  const waiting = models.fresh();
  clock.now = maxAgeMs;
  list.resolve([]);
  await waiting;
  await models.fresh();
  assert.equal(clock.reads, 2);
});

test('while something changes the list is read for each decision, and what was known before will not do afterwards', async () => {
  let fails = false;
  const { models, clock } = setUp(async () => {
    if (fails) throw new Error('down');
    return [];
  });
  await models.fresh();
  const over = models.change();
  await models.fresh();
  await models.fresh();
  assert.equal(clock.reads, 3);
  over();
  await models.fresh();
  await models.fresh();
  assert.equal(clock.reads, 4);
  fails = true;
  models.change()();
  assert.equal(await models.fresh(), false);
});

test('while something changes a list counts that took long, and an older one does not when it takes too long', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let list = Promise.resolve<readonly ListedModel[]>([]);
  const { models, clock } = setUp(() => list);
  await models.fresh();
  models.change();
  const slow = Promise.withResolvers<readonly ListedModel[]>();
  list = slow.promise;
  const waiting = models.fresh();
  clock.now = 9_000;
  t.mock.timers.tick(9_000);
  slow.resolve(remote('a'));
  assert.equal(await waiting, true);
  assert.equal(models.isRemote('a:latest'), true);
  list = Promise.reject(new Error('down'));
  assert.equal(await models.fresh(), false);
});

test('whoever changes models all the time is not waited for without end', async () => {
  const { models, clock } = setUp(async () => {
    await undefined;
    models.change()();
    return [];
  });
  assert.equal(await models.fresh(), false);
  assert.equal(clock.reads, 5);
});

test('SEC-9: while something changes, a list that was asked for earlier counts for nobody who comes later', async () => {
  const lists = [1, 2, 3].map(() => Promise.withResolvers<readonly ListedModel[]>());
  const { models, clock } = setUp(
    () => lists[clock.reads - 1]?.promise ?? Promise.reject(new Error('asked too often')),
  );
  const over = models.change();
  const first = models.fresh();
  assert.equal(clock.reads, 1);
  // The alias is there from here on, and this list does not have it yet.
  const later = [models.fresh(), models.fresh()];
  lists[0]?.resolve([]);
  assert.equal(await first, true);
  assert.equal(clock.reads, 2, 'one list for all who came meanwhile');
  lists[1]?.resolve(remote('alias'));
  assert.deepEqual(await Promise.all(later), [true, true]);
  assert.equal(models.isRemote('alias:latest'), true);
  over();
});

test('a list that was asked for before a change was over counts for nothing', async () => {
  const lists = [Promise.withResolvers<readonly ListedModel[]>(), Promise.withResolvers<readonly ListedModel[]>()];
  let reads = 0;
  const { models } = setUp(() => lists[reads++]?.promise ?? Promise.resolve([]));
  const over = models.change();
  const waiting = models.fresh();
  over();
  const asking = models.fresh();
  lists[0]?.resolve([]);
  lists[1]?.resolve(remote('a'));
  assert.deepEqual(await Promise.all([waiting, asking]), [true, true]);
  assert.equal(models.isRemote('a:latest'), true);
});

test('a list on its way to somebody teaches too, and never unteaches', () => {
  const { models, clock } = setUp(async () => []);
  models.learn(json({ models: [{ name: 'a', model: 'a', remote_host: 'https://ollama.com' }, { name: 'b' }, 7] }));
  assert.deepEqual(
    ['a:latest', 'b:latest'].map((name) => models.isRemote(name)),
    [true, false],
  );
  // `/api/ps` does not tell.
  models.learn(json({ models: [{ name: 'a', model: 'a' }] }));
  for (const text of ['', '{', '[]', '{"data":[]}', '{"models":null}']) models.learn(Buffer.from(text));
  assert.equal(models.isRemote('a:latest'), true);
  assert.equal(clock.reads, 0);
});

test('a list that is on its way again teaches again, when what it taught was forgotten', async () => {
  const { models, clock } = setUp(async () => []);
  const body = json({ models: [{ name: 'a', remote_host: 'https://ollama.com' }] });
  models.learn(body);
  models.learn(body);
  assert.equal(models.isRemote('a:latest'), true);
  await models.fresh();
  assert.equal(models.isRemote('a:latest'), false);
  models.learn(Buffer.from(body));
  assert.equal(models.isRemote('a:latest'), true);
  assert.equal(clock.reads, 1);
});

test('the models of /api/tags are read with what tells that they are remote', () => {
  const body = json({
    models: [{ name: 'a', model: 'A' }, { name: 'b', remote_model: 'x' }, { name: 'c', remote_host: '' }, null, {}],
  });
  assert.deepEqual(listedModels(body), [
    { names: ['a', 'A'], remote: false },
    { names: ['b'], remote: true },
    { names: ['c'], remote: false },
  ]);
  assert.deepEqual(listedModels(json({ models: null })), []);
  assert.throws(() => listedModels(json({})));
});
