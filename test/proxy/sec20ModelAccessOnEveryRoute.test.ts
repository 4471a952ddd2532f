// SEC-20: Open WebUI asked who may use a model on /api/chat alone; generate, show, embed and embeddings were open to any
// user until open-webui PR 23631. Here the question is the route table's, and there is no route beside it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeUser } from '../../src/guard/identity/users.ts';
import { type Route, routes } from '../../src/guard/routes.ts';
import { get, pathOf, requestsNaming } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const models = { allow: ['llama*', 'team/*'], deny: ['*secret', 'llama3.2:70b'] };
const users = ['vera', 'mia', 'adam'].reduce((all, name) => changeUser(all, name, { models }), team.users);

const mayUse = ['llama3.2', 'LLAMA3.2:1b', 'team/x'];
const mayNot = ['qwen3', 'llama-secret', 'team/secret:7b', 'Llama3.2:70B', 'other/llama3.2'];

const naming = routes.filter(({ names, needs }) => names !== 'none' && needs !== 'denied');
const where = ({ method, path }: Route) => `${method} ${path}`;
/** A variable segment has no room for a namespace. */
const fits = ({ names }: Route, model: string) => names !== 'path' || !model.includes('/');

test('SEC-20: every route with a body that is read names a model', () => {
  const silent = routes.filter(({ body, names }) => (body === 'json' || body === 'form') && names === 'none');
  assert.deepEqual(silent.map(where), []);
  assert.deepEqual(routes.filter(({ names, body }) => names !== 'none' && body === 'none').map(where), [
    where(routes.find(({ names }) => names === 'path') ?? assert.fail()),
  ]);
});

test('SEC-20: a model that is not allowed is 403 on every route that can name one, wherever it stands', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  let asked = 0;
  for (const route of naming) {
    for (const model of mayNot.filter((name) => fits(route, name))) {
      for (const request of requestsNaming(team.adam, route, model, 'llama3.2')) {
        const { status, text } = await guard.call(request);
        assert.equal(status, 403, `${where(route)} ${model} ${request.body}`);
        assert.match(text, /may not use this model/);
        asked += 1;
      }
    }
  }
  assert.equal(upstream.connections, 0);
  assert.ok(naming.length >= 16 && asked > 100, `${asked} on ${naming.length} routes`);
});

test('SEC-20: a model that is allowed is let through on every such route', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const route of naming) {
    for (const model of mayUse.filter((name) => fits(route, name))) {
      for (const request of requestsNaming(team.adam, route, model, 'llama3.2')) {
        const before = upstream.requests.length;
        assert.equal((await guard.call(request)).status, 200, `${where(route)} ${model} ${request.body}`);
        assert.ok(upstream.requests[before]?.target === request.path);
      }
    }
  }
});

test('SEC-20: a request that names no model is refused where one has to be named', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const { method, path, body } of naming.filter((route) => route.names !== 'path')) {
    const headers = { authorization: team.adam.bearer };
    for (const text of ['{}', '{"model":""}', '{"model":null}', '{"model":" "}', '']) {
      const { status } = await guard.call({ method, path: String(path), headers, body: text });
      assert.ok(status === 400 || (status === 415 && body === 'form'), `${path} ${text}: ${status}`);
    }
  }
  assert.equal(upstream.connections, 0);
});

const tag = (name: string) => ({ name, model: name, size: 1 });
const names = [...mayUse, ...mayNot];
const listed = {
  models: JSON.stringify({ models: names.map(tag) }),
  data: JSON.stringify({ object: 'list', data: names.map((id) => ({ id, object: 'model' })) }),
};

for (const route of routes.filter(({ lists }) => lists !== undefined)) {
  test(`SEC-20: ${where(route)} shows what one may use and nothing else`, async (t) => {
    const upstream = await startFakeOllama(t, (reply) =>
      reply.text(listed[route.lists ?? 'models'], 'application/json; charset=utf-8'),
    );
    const guard = await startGuard(t, upstream, { users });
    for (const person of [team.vera, team.mia, team.adam]) {
      const { status, text, headers } = await guard.call(get(person, pathOf(route), route.method));
      assert.equal(status, 200);
      if (route.method === 'HEAD') {
        // The length of the whole list would tell how much there is.
        assert.equal(headers['content-length'], undefined);
        continue;
      }
      assert.equal(headers['content-length'], String(Buffer.byteLength(text)));
      const list = JSON.parse(text)[route.lists ?? 'models'] as Record<string, string>[];
      assert.deepEqual(
        list.map((entry) => entry.name ?? entry.id),
        mayUse,
      );
    }
  });

  if (route.method === 'HEAD') continue;
  test(`SEC-20: what ${where(route)} answers and is no list is not shown`, async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { users });
    for (const body of ['', 'llama-secret', '["llama-secret"]', '{"models":"llama-secret"}', '{"other":[]}']) {
      upstream.answer = (reply) => reply.text(body, 'application/json');
      const { status, text } = await guard.call(get(team.mia, pathOf(route)));
      assert.equal(status, 502, body);
      assert.doesNotMatch(text, /secret/);
    }
  });
}
