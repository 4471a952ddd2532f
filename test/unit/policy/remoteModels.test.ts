import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ListedModel } from '../../../src/guard/policy/lists.ts';
import { listedModels, RemoteModels } from '../../../src/guard/policy/remoteModels.ts';

const maxAgeMs = 10_000;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const remote = (...names: string[]): readonly ListedModel[] => names.map((name) => ({ names: [name], remote: true }));

/** Models as they are read, and a clock. */
function setUp(read: () => Promise<readonly ListedModel[]>) {
  const clock = { now: 0, reads: 0 };
  const counted = () => {
    clock.reads += 1;
    return read();
  };
  return { clock, models: new RemoteModels({ read: counted, maxAgeMs, now: () => clock.now }) };
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

test('when the list cannot be read, what was known stays, and the next request asks again', async () => {
  let fails = false;
  const { models, clock } = setUp(async () => {
    if (fails) throw new Error('down');
    return remote('a');
  });
  await models.fresh();
  fails = true;
  clock.now = maxAgeMs;
  await models.fresh();
  await models.fresh();
  assert.equal(models.isRemote('a:latest'), true);
  assert.equal(clock.reads, 3);
});

test('a reader that throws at once is one that cannot read', async () => {
  const { models } = setUp(() => {
    throw new Error('down');
  });
  await models.fresh();
  assert.equal(models.isRemote('a:latest'), false);
});

test('a list that does not come is waited for only so long', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { models, clock } = setUp(() => new Promise(() => {}));
  const waiting = models.fresh();
  t.mock.timers.tick(2_000);
  await waiting;
  const again = models.fresh();
  t.mock.timers.tick(2_000);
  await again;
  assert.equal(clock.reads, 2);
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
