import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterList, seesAll } from '../../../src/guard/policy/lists.ts';
import type { IsRemote } from '../../../src/guard/policy/models.ts';
import { accessOf, resolvePolicy } from '../../../src/guard/policy/policy.ts';
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
