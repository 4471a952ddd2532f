// SEC-33: show, pull, push, create and delete take `model` and, from older clients, `name`; Ollama takes the first that is
// not empty.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeUser } from '../../src/guard/identity/users.ts';
import { routes } from '../../src/guard/routes.ts';
import { ask, pathOf } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const users = changeUser(team.users, 'adam', { models: { deny: ['secret*'] } });
const both = routes.filter(({ names }) => names === 'model-or-name' || names === 'create');

test('SEC-33: two names that differ are 400, in whatever they differ', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const route of both) {
    for (const [model, name] of [
      ['llama', 'secret'],
      ['secret', 'llama'],
      ['llama', 'llama:latest'],
      ['llama', 'LLAMA'],
      ['llama', ' llama'],
    ]) {
      for (const body of [
        { model, name },
        { name, model },
      ]) {
        const { status } = await guard.call(ask(team.adam, pathOf(route), body, route.method));
        assert.equal(status, 400, `${pathOf(route)} ${JSON.stringify(body)}`);
      }
    }
  }
  assert.equal(both.length, 5);
  assert.equal(upstream.connections, 0);
});

test('SEC-33: two that are the same are one, and one that is empty leaves the other', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const pairs = (name: string) => [
    { model: name, name },
    { model: name },
    { name },
    { model: '', name },
    { model: null, name },
    { model: name, name: '' },
    { model: name, name: null },
  ];
  for (const route of both) {
    const status = async (body: object) => (await guard.call(ask(team.adam, pathOf(route), body, route.method))).status;
    for (const body of pairs('llama')) assert.equal(await status(body), 200, JSON.stringify(body));
    for (const body of pairs('secret')) assert.equal(await status(body), 403, JSON.stringify(body));
    for (const body of [{}, { model: '', name: '' }, { model: null, name: null }, { model: 1, name: 'llama' }]) {
      assert.equal(await status(body), 400, JSON.stringify(body));
    }
  }
});
