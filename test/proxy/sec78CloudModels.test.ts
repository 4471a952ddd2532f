// SEC-78: through an open Ollama anybody runs `x:cloud` on the owner's account. Here it is the owner's alone, however the
// model is spelled, whatever it is called, and in whichever tool it hides.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ListedModel } from '../../src/guard/policy/lists.ts';
import { routes } from '../../src/guard/routes.ts';
import { ask, get, pathOf, requestsNaming } from '../support/asks.ts';
import { type Answer, startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { type Person, team, withPerson } from '../support/people.ts';
import { untilQueue } from '../support/queue.ts';
import { RawClient } from '../support/rawClient.ts';

const { users, person: olga } = withPerson(team.users, 'olga', 'owner');

const spellings = [
  ...['gpt-oss:cloud', 'gpt-oss:120b-cloud', 'GPT-OSS:Cloud', 'gpt-oss:120B-CLOUD', 'library/gpt-oss:cloud'],
  ...['registry.ollama.ai/library/gpt-oss:120b-cloud', 'https://registry.ollama.ai/library/gpt-oss:cloud'],
  ...[' gpt-oss:cloud', 'gpt-oss:cloud\n', 'team/x:7b-cloud', 'gpt-oss:120b:cloud'],
];

const naming = routes.filter(({ names, needs }) => names !== 'none' && needs !== 'denied');

test('SEC-78: a model of ollama.com is 403 on every route and in every spelling, and the owner may', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const route of naming) {
    for (const model of spellings) {
      if (route.names === 'path' && /[/\s]/.test(model)) continue;
      for (const request of requestsNaming(team.adam, route, model, 'llama')) {
        const { status, text } = await guard.call(request);
        assert.equal(status, 403, `${pathOf(route)} ${model}`);
        assert.match(text, /ollama\.com/);
      }
      assert.equal(upstream.connections, 0);
    }
  }
  for (const route of naming) {
    for (const request of requestsNaming(olga, route, 'gpt-oss:120b-cloud', 'llama')) {
      assert.equal((await guard.call(request)).status, 200, `${pathOf(route)} ${request.body}`);
    }
  }
});

const entry = (name: string, more = {}) => ({ name, model: name, ...more });
const tags = [
  entry('llama3.2:latest'),
  entry('gpt-oss:120b-cloud', { remote_model: 'gpt-oss:120b', remote_host: 'https://ollama.com:443' }),
  entry('mine:latest', { remote_model: 'gpt-oss:120b', remote_host: 'https://ollama.com:443' }),
  entry('Ours:latest', { remote_model: 'gpt-oss:120b' }),
];
const lists: Answer = (reply) => {
  const { target } = reply.request;
  if (target === '/v1/models') reply.json({ object: 'list', data: tags.map(({ name }) => ({ id: name })) });
  // Ollama says in this list alone which models are remote.
  else reply.json({ models: target === '/api/tags' ? tags : tags.map(({ name }) => entry(name)) });
};
const remote = tags.slice(1).map(({ name }) => ({ names: [name], remote: true }));
const aliases = ['mine', 'MINE:latest', 'library/mine', 'mine:local', 'ours', 'registry.ollama.ai/library/ours'];

test('SEC-78: an alias of such a model is one, whatever it is called', async (t) => {
  const upstream = await startFakeOllama(t, lists);
  const guard = await startGuard(t, upstream, { users, listModels: async () => remote });
  for (const route of naming) {
    for (const alias of aliases) {
      if (route.names === 'path' && alias.includes('/')) continue;
      for (const request of requestsNaming(team.adam, route, alias, 'llama')) {
        const { status } = await guard.call(request);
        // Where Ollama stores a name as it stands, `:local` is part of none.
        const stored = alias.endsWith(':local') && /copy|create|push/.test(pathOf(route));
        assert.ok(status === 403 || (stored && status === 400), `${pathOf(route)} ${request.body}: ${status}`);
      }
    }
  }
  assert.equal(upstream.connections, 0);
  assert.equal((await guard.call(ask(olga, '/api/chat', { model: 'mine' }))).status, 200);
});

test('SEC-78: while Ollama does not say which models run there, a role without them gets none, and the owner does', async (t) => {
  const upstream = await startFakeOllama(t, lists);
  let listed: readonly ListedModel[] | undefined;
  const listModels = async () => {
    if (listed === undefined) throw new Error('not now');
    return listed;
  };
  const guard = await startGuard(t, upstream, { users, listModels });
  for (const request of [get(team.vera, '/api/tags'), ask(team.mia, '/api/chat', { model: 'llama3.2' })]) {
    const { status, text } = await guard.call(request);
    assert.equal(status, 503);
    assert.match(text, /Ollama is not answering/);
  }
  assert.equal(upstream.connections, 0);
  assert.equal((await guard.call(ask(olga, '/api/chat', { model: 'mine' }))).status, 200);
  listed = [];
  assert.equal((await guard.call(ask(team.mia, '/api/chat', { model: 'llama3.2' }))).status, 200);
});

test('SEC-78: an alias that was made after the list was read is known as soon as Ollama has listed it to anybody', async (t) => {
  const upstream = await startFakeOllama(t, lists);
  const guard = await startGuard(t, upstream, { users });
  await guard.call(get(team.vera, '/api/tags'));
  for (const alias of aliases) {
    assert.equal((await guard.call(ask(team.mia, '/api/chat', { model: alias }))).status, 403, alias);
  }
  assert.equal(upstream.requests.length, 1);
});

test('SEC-78: an alias that a manager makes is known to the next request, and to one whose body was on its way', async (t) => {
  const upstream = await startFakeOllama(t, lists);
  let listed: readonly ListedModel[] = [];
  const guard = await startGuard(t, upstream, { users, listModels: async () => listed });
  const status = async (model: string) => (await guard.call(ask(team.mia, '/api/chat', { model }))).status;
  assert.equal(await status('mine'), 200);
  const slow = await RawClient.open(t, guard.port);
  const { headers, path, body = '' } = ask(team.mia, '/api/chat', { model: 'mine' });
  const head = Object.entries({ host: 'localhost', 'content-length': body.length, ...headers });
  slow.send(`POST ${path} HTTP/1.1\r\n${head.map((line) => line.join(': ')).join('\r\n')}\r\n\r\n${body.slice(0, -1)}`);
  // Ollama has the alias before it has answered, and may answer late.
  upstream.answer = (reply) => {
    if (reply.request.target !== '/api/pull') return lists(reply);
    listed = remote;
    reply.stream();
    reply.chunk('{"status":"success"}\n');
  };
  const pulling = await RawClient.open(t, guard.port);
  pulling.send(ask(team.adam, '/api/pull', { model: 'team/mine' }));
  await pulling.has('success');
  assert.equal(await status('mine'), 403, 'while it is pulled');
  slow.send(body.slice(-1));
  assert.equal((await slow.response()).status, 403);
  (await upstream.reply(1)).end();
  await pulling.response();
  assert.equal(await status('mine'), 403, 'afterwards');
});

test('SEC-78: an alias that is made while a request waits for its turn is known when that comes', async (t) => {
  const upstream = await startFakeOllama(t, () => {});
  let listed: readonly ListedModel[] = [];
  const policy = { queue: { concurrency: 1 } };
  const guard = await startGuard(t, upstream, { users, listModels: async () => listed, config: { policy } });
  const first = guard.call(ask(team.mia, '/api/chat', { model: 'llama3.2' }));
  const running = await upstream.reply(0);
  const waiting = guard.call(ask(team.mia, '/api/chat', { model: 'mine' }));
  await untilQueue(guard, (view) => view.waiting === 1);
  const copying = guard.call(ask(team.adam, '/api/copy', { source: 'llama3.2', destination: 'other' }));
  (await upstream.reply(1)).json({});
  await copying;
  listed = remote;
  running.json({ done: true });
  assert.equal((await first).status, 200);
  assert.equal((await waiting).status, 403);
  await untilQueue(guard, (view) => view.running === 0);
  assert.equal(upstream.requests.length, 2);
});

test('SEC-78: no list shows it, and no model has a page of its own', async (t) => {
  const upstream = await startFakeOllama(t, lists);
  const guard = await startGuard(t, upstream, { users, listModels: async () => remote });
  const shown = async (person: Person, path: string) => {
    const { models, data } = JSON.parse((await guard.call(get(person, path))).text);
    return (models ?? data).map(({ name, id }: Record<string, string>) => name ?? id);
  };
  for (const path of ['/api/tags', '/api/ps', '/v1/models']) {
    for (const person of [team.vera, team.mia, team.adam]) {
      assert.deepEqual(await shown(person, path), ['llama3.2:latest'], `${person.name} ${path}`);
    }
    assert.deepEqual(
      await shown(olga, path),
      tags.map(({ name }) => name),
    );
  }
  for (const model of ['gpt-oss:120b-cloud', 'gpt-oss:cloud', 'GPT-OSS:CLOUD', 'mine', 'MINE:latest', 'ours']) {
    assert.equal((await guard.call(get(team.mia, `/v1/models/${model}`))).status, 403, model);
    assert.equal((await guard.call(get(olga, `/v1/models/${model}`))).status, 200, model);
  }
});

test('SEC-78: tools that search the web on the owner’s account are the owner’s', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const tool = (type: string) => ({
    tools: [
      { type: 'function', name: 'f' },
      { type, name: 'x' },
    ],
  });
  const types = ['web_search', 'web_fetch', 'web_search_preview', 'web_search_2025_08_26', 'web_search_20250305'];
  const bodies = [
    ...[...types, 'WEB_SEARCH', ' web_search', 'Web_Fetch_20250910'].map(tool),
    { tools: [{ type: 'namespace', tools: [{ type: 'web_search' }] }] },
    { web_search_options: {} },
    { web_search_options: { search_context_size: 'low' } },
  ];
  for (const path of ['/v1/responses', '/v1/messages', '/v1/chat/completions', '/api/chat']) {
    for (const body of bodies) {
      const whole = { model: 'llama', max_tokens: 5, messages: [{ role: 'user', content: 'hi' }], ...body };
      assert.equal((await guard.call(ask(team.mia, path, whole))).status, 403, `${path} ${JSON.stringify(body)}`);
    }
  }
  const escaped = '{"model":"llama","tools":[{"\\u0074ype":"web\\u005fsearch"}]}';
  assert.equal((await guard.call(ask(team.mia, '/v1/responses', escaped))).status, 403);
  assert.equal(upstream.connections, 0);
  const whole = { model: 'llama', input: 'hi', ...tool('web_search') };
  assert.equal((await guard.call(ask(olga, '/v1/responses', whole))).status, 200);
  const plain = { model: 'llama', input: 'web_search', tools: [{ type: 'function', name: 'web_search' }] };
  assert.equal((await guard.call(ask(team.mia, '/v1/responses', plain))).status, 200);
});

test('SEC-78: nobody chooses where a model of theirs runs', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const body = { model: 'mine', from: 'llama', remote_host: 'https://ollama.com' };
  assert.equal((await guard.call(ask(team.adam, '/api/create', body))).status, 403);
  assert.equal(upstream.connections, 0);
});

test('SEC-78: a role may be let in', async (t) => {
  const upstream = await startFakeOllama(t);
  const policy = { roles: { member: { cloud: true, models: { deny: ['gpt-oss:120b-cloud'] } } } };
  const guard = await startGuard(t, upstream, { users, config: { policy } });
  const status = async (model: string) => (await guard.call(ask(team.mia, '/api/chat', { model }))).status;
  assert.equal(await status('gpt-oss:20b-cloud'), 200);
  for (const model of [
    'gpt-oss:120b-cloud',
    'GPT-OSS:120b-Cloud',
    'gpt-oss:120b:cloud',
    'library/gpt-oss:120b-cloud',
  ]) {
    assert.equal(await status(model), 403, model);
  }
});
