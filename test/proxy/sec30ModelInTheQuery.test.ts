// SEC-30: LiteLLM's list of models was passed by `?model=denied` in the URL while the body named an allowed one (PR 41852).
// Go's `FormValue` takes the query before a field of the form, so here the query never leaves the guard.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { changeUser } from '../../src/guard/identity/users.ts';
import { routes } from '../../src/guard/routes.ts';
import { askWithForm, field, file, requestsNaming } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const users = changeUser(team.users, 'adam', { models: { deny: ['secret*'] } });
const queries = ['?model=secret', '?Model=secret', '?model=llama&model=secret', '?name=secret', '?%6dodel=secret'];

test('SEC-30: a model in the query is nobody’s model, on every route that names one', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  for (const route of routes.filter(({ names, needs }) => names !== 'none' && needs !== 'denied')) {
    const [allowed] = requestsNaming(team.adam, route, 'llama3.2', 'llama3.2');
    const [hidden] = requestsNaming(team.adam, route, 'secret', 'llama3.2');
    for (const query of queries) {
      const before = upstream.requests.length;
      assert.equal((await guard.call({ ...allowed, path: `${allowed?.path}${query}` })).status, 200);
      assert.equal(upstream.requests[before]?.target, allowed?.path);
      const permitted = query.replaceAll('secret', 'llama3.2');
      assert.equal((await guard.call({ ...hidden, path: `${hidden?.path}${permitted}` })).status, 403);
    }
  }
});

test('SEC-30: a form that names no model does not get one from the query', async (t) => {
  const demo = await startDemoOllama();
  t.after(() => demo.stop());
  const guard = await startGuard(t, demo.url);
  const path = '/v1/audio/transcriptions?model=demo-audio';
  const audio = file('file', 'RIFF');
  assert.equal((await guard.call(askWithForm(team.mia, [audio], { path }))).status, 400);
  const named = [audio, field('model', 'demo-audio')];
  assert.equal((await guard.call(askWithForm(team.mia, named, { path: `${path.replace('-audio', '')}` }))).status, 200);
});
