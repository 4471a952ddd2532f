import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { filterList, readList, seesAll } from '../../../src/guard/policy/lists.ts';
import { type IsRemote, judgeModel } from '../../../src/guard/policy/models.ts';
import { type Access, accessOf, resolvePolicy } from '../../../src/guard/policy/policy.ts';
import type { RoleDocument } from '../../../src/guard/policy/policyDocument.ts';

const access = (tester: RoleDocument) => accessOf(resolvePolicy({ roles: { tester } }), { role: 'tester' });
const none: IsRemote = () => false;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const holder = access({ models: { allow: ['llama*', 'team/*'], deny: ['*private'] } });

const filtered = (member: 'models' | 'data', answer: unknown, isRemote = none) =>
  JSON.parse(filterList(holder, member, json(answer), isRemote).toString());

test('SEC-20: a list holds what its reader may use, and everything else that it says', () => {
  const tag = (name: string) => ({ name, model: name, size: 7, details: { family: 'llama', families: ['llama'] } });
  assert.deepEqual(
    filtered('models', {
      before: [1],
      models: [tag('llama3.2:latest'), tag('qwen3:8b'), tag('Team/X:latest'), tag('team/private:7b')],
      after: { a: null },
    }),
    { before: [1], models: [tag('llama3.2:latest'), tag('Team/X:latest')], after: { a: null } },
  );
  const item = (id: string) => ({ id, object: 'model', created: 1, owned_by: 'library' });
  assert.deepEqual(filtered('data', { object: 'list', data: [item('llama3.2:latest'), item('qwen3:8b')] }), {
    object: 'list',
    data: [item('llama3.2:latest')],
  });
});

test('SEC-78: a list tells of models of ollama.com only whom it may', () => {
  const models = [
    { name: 'llama:7b-cloud' },
    { name: 'llama:cloud' },
    { name: 'llama-a', remote_host: 'https://ollama.com' },
    { name: 'llama-b', remote_model: 'x' },
    { name: 'llama-c', remote_host: '', remote_model: '' },
    { name: 'llama-d' },
  ];
  const names = (answer: { models: { name: string }[] }) => answer.models.map(({ name }) => name);
  assert.deepEqual(names(filtered('models', { models }, (short) => short === 'llama-d:latest')), ['llama-c']);
  const cloudy = access({ cloud: true, models: { deny: ['llama-b'] } });
  const all = JSON.parse(filterList(cloudy, 'models', json({ models }), none).toString());
  assert.deepEqual(names(all), ['llama:7b-cloud', 'llama:cloud', 'llama-a', 'llama-c', 'llama-d']);
});

test('an entry that is not understood is left out', () => {
  const odd = [null, 1, 'llama', [], ['llama'], {}, { name: 1 }, { name: 'llama', model: 2 }, { name: 'no name' }];
  const two = [
    { name: 'llama', model: 'secret' },
    { name: 'secret', model: 'llama' },
    { name: 'llama:local', model: 'llama:local' },
    { id: 'llama' },
  ];
  assert.deepEqual(filtered('models', { models: [...odd, ...two, { model: 'llama' }] }), {
    models: [{ model: 'llama' }],
  });
  assert.deepEqual(filtered('data', { data: [...odd, { name: 'llama' }, { id: 'llama' }] }), {
    data: [{ id: 'llama' }],
  });
});

test('SEC-20: a list names no model that its reader may not use as what another was made from', () => {
  const made = (name: string, parent_model: unknown) => ({ name, details: { format: 'gguf', parent_model } });
  const models = [
    made('llama-a', 'secret:7b'),
    made('llama-b', 'llama3.2:latest'),
    made('llama-c', ''),
    made('llama-d', '/root/.ollama/models/blobs/sha256-0'),
    made('llama-e', 'llama-alias'),
    made('llama-f', null),
    made('llama-g', ['secret']),
    made('llama-h', 'llama:cloud'),
    { name: 'llama-i', details: null },
    { name: 'llama-j', details: 'x' },
  ];
  const left = filtered('models', { models }, (short) => short === 'llama-alias:latest');
  const parents = ['', 'llama3.2:latest', '', '', '', null, '', ''];
  assert.deepEqual(left, {
    models: models.map((model, i) => (i < 8 ? made(model.name, parents[i]) : model)),
  });
});

test('a list of which nothing is hidden is given back as it came', () => {
  const spaced = Buffer.from('{ "models": [ {"name":"llama3.2","details":{"parent_model":""} } ], "more": 1.0 }');
  assert.equal(filterList(holder, 'models', spaced, none), spaced);
  const empty = Buffer.from('{"models": null }');
  assert.equal(filterList(holder, 'models', empty, none), empty);
});

const long = (prefix: string, more: readonly unknown[] = []): Buffer =>
  json({ models: [...Array.from({ length: 500 }, (_, i) => ({ name: `${prefix}-${i}`, digest: 'x' })), ...more] });

test('a list that comes again is neither read nor written again', (t) => {
  const parse = t.mock.method(JSON, 'parse');
  const stringify = t.mock.method(JSON, 'stringify');
  const counts = () => [parse.mock.callCount(), stringify.mock.callCount()];
  const body = long('llama', [{ name: 'secret' }]);
  const before = counts();
  readList('models', body);
  const first = filterList(holder, 'models', body, none);
  const after = counts();
  assert.deepEqual([after[0], after[1]], [(before[0] ?? 0) + 1, (before[1] ?? 0) + 1]);
  assert.equal(filterList(holder, 'models', Buffer.from(body), none), first);
  // Whoever sees the same gets the same.
  assert.equal(filterList(access({ models: { deny: ['secret'] } }), 'models', Buffer.from(body), none), first);
  assert.deepEqual(counts(), after);
});

test('a list that comes again is another to others, once a model has become remote, and when it says something else', () => {
  const names = (body: Buffer) => JSON.parse(body.toString()).models.map(({ name }: { name: string }) => name);
  const body = long('llama', [{ name: 'secret' }, { name: 'llama-a', remote_host: 'https://ollama.com' }]);
  const seen = (of: Access, isRemote = none, list = body) =>
    names(filterList(of, 'models', Buffer.from(list), isRemote));
  const plain = names(body).slice(0, 500);
  assert.deepEqual(seen(holder), plain);
  assert.deepEqual(
    seen(holder, (short) => short === 'llama-7:latest'),
    plain.filter((name: string) => name !== 'llama-7'),
  );
  assert.deepEqual(seen(holder), plain);
  assert.deepEqual(seen(access({ models: { allow: ['secret'] } })), ['secret']);
  assert.deepEqual(seen(access({ cloud: true })), names(body));
  assert.deepEqual(seen(access({ cloud: true, models: { deny: ['secret'] } })), [...plain, 'llama-a']);
  assert.deepEqual(seen(access({ models: { deny: ['secret'] } })), plain);
  const other = Buffer.from(body.toString().replace('"secret"', '"llamas"'));
  assert.equal(other.length, body.length);
  assert.deepEqual(seen(holder, none, other), [...plain, 'llamas']);
  assert.throws(() => filterList(holder, 'data', body, none));
});

test('few lists are kept', (t) => {
  const bodies = ['a', 'b', 'c', 'd', 'e'].map((name) => long(name));
  for (const body of bodies) readList('models', body);
  const parse = t.mock.method(JSON, 'parse');
  const reads = (body: Buffer): number => {
    const before = parse.mock.callCount();
    readList('models', body);
    return parse.mock.callCount() - before;
  };
  assert.deepEqual(bodies.slice(1).map(reads), [0, 0, 0, 0]);
  assert.deepEqual(bodies.slice(0, 1).map(reads), [1]);
  // The one that nobody asked for the longest has gone.
  assert.deepEqual(bodies.slice(2).map(reads), [0, 0, 0]);
  assert.deepEqual(bodies.slice(1, 2).map(reads), [1]);
});

test('SEC-20: whatever is in a list, what is left of it is what its reader may use, in order', () => {
  const named = fc.constantFrom('llama3.2', 'LLAMA:7b', 'llama:cloud', 'team/x', 'team/private', 'qwen3', 'x y', '', 1);
  const entry = fc.record(
    { name: named, model: named, remote_model: fc.constantFrom('', 'x'), size: fc.nat() },
    { requiredKeys: [] },
  );
  const holders = [holder, access({}), access({ cloud: true }), access({ models: { allow: [] } })];
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 8 }),
      fc.constantFrom(...holders),
      fc.subarray(['llama3.2:latest', 'team/x:latest']),
      (models, of, remote) => {
        const isRemote: IsRemote = (short) => remote.includes(short);
        const may = ({ name, model, remote_model = '' }: (typeof models)[number]) => {
          const names = [name, model].filter((one) => one !== undefined);
          const elsewhere = remote_model === '' ? isRemote : () => true;
          const mayAll = names.every((one) => typeof one === 'string' && judgeModel(of, one, elsewhere).allowed);
          return names.length > 0 && mayAll;
        };
        const left = JSON.parse(filterList(of, 'models', json({ models }), isRemote).toString());
        assert.deepEqual(left, JSON.parse(JSON.stringify({ models: models.filter(may) })));
      },
    ),
    { numRuns: 1_000 },
  );
});

test('a list with nothing in it stays as it is', () => {
  assert.deepEqual(filtered('models', { models: [] }), { models: [] });
  // As Go writes it.
  assert.deepEqual(filtered('data', { object: 'list', data: null }), { object: 'list', data: null });
});

test('an answer that is no list is an error, and nothing of it is passed on', () => {
  const noLists = ['', 'x', '{', '{"models":[]', 'null', '1', '"models"', '[]', '{}', '{"data":[]}', '{"models":{}}'];
  for (const text of [...noLists, '{"models":"x"}', '{"models":1}', '{"models":[]}{"models":[]}']) {
    assert.throws(() => filterList(holder, 'models', Buffer.from(text), none), Error, text);
  }
});

test('only who may use everything sees a list as it is', () => {
  assert.ok(seesAll(access({ cloud: true })));
  assert.ok(seesAll(access({ cloud: true, models: { allow: ['x', '*'] } })));
  for (const role of [
    { cloud: false },
    { cloud: true, models: { deny: ['x'] } },
    { cloud: true, models: { allow: ['**x'] } },
    { cloud: true, models: { allow: [] } },
    { cloud: true, models: { allow: ['library/*'] } },
  ]) {
    assert.ok(!seesAll(access(role)), JSON.stringify(role));
  }
});
