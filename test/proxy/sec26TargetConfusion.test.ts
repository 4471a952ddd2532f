// SEC-25, SEC-26, SEC-30, SEC-37: a rule that reads the target in another way than the upstream does is a way around it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

const headers = { authorization: team.mia.bearer };

test('SEC-26, SEC-37: a path that is not in its plain form is 400', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const confusing = [
    '/api/%70ull',
    '/api/%2570ull',
    '/api%2ftags',
    '/api%2Fpull',
    '/api%5cpull',
    '/api/tags%00',
    '/api/tags%23',
    '/api/tags%3fx',
    '/api/../api/pull',
    '/api/tags/..',
    '/api/tags/../pull',
    '/api/./tags',
    '/./api/tags',
    '/..',
    '/.',
    '/api/%2e%2e/pull',
    '/api/.%2e/pull',
    '/api;x/tags',
    '/api/tags;jsessionid=1',
    '/api/tags#',
    '/api/tags#?x',
    '/api/tags?x#y',
    '/api\\pull',
    '/\\evil.example/',
    '/api/t\u00e4gs',
    '/api/tags%0d%0aX: y',
    '/api/tags{}',
    '/api/tags*',
    "/api/tags'",
    '/api/tags,',
    '/api/tags&x',
    '/api/tags!',
    '/api/tags$',
    '/api/(tags)',
    '/api/tags|',
    '/api/<tags>',
  ];
  for (const path of confusing) assert.equal((await guard.call({ path, headers })).status, 400, path);
  assert.equal(upstream.connections, 0);
});

test('SEC-25: what stands in the query decides nothing', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const member = { headers, method: 'POST', body: '{}' };
  assert.equal((await guard.call({ ...member, path: '/api/pull?/api/chat' })).status, 403);
  assert.equal((await guard.call({ path: '/nowhere?/_guard/health' })).status, 401);
  assert.equal((await guard.call({ path: '/api/tags?/_guard/health' })).status, 401);
  assert.equal(upstream.connections, 0);
});

test('SEC-30: the query is dropped, whatever is in it', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const queries = ['?model=denied', '?ts=1', '?', '??', '?a=b&c=d/../..', '?x=//y', '?%00', '?http://evil.example'];
  for (const query of queries)
    assert.equal((await guard.call({ path: `/api/tags${query}`, headers })).status, 200, query);
  assert.deepEqual(new Set(upstream.seen), new Set(['GET /api/tags']));
});
