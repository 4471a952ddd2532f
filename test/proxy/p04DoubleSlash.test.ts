// http-proxy collapses `//` after a check: `//api/delete` arrives as `/api/delete`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

test('P4: a doubled slash is refused and never repaired', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const path of ['//api/delete', '/api//delete', '/api/delete//', '//', '///', '//evil.example/api/tags']) {
    for (const method of ['GET', 'POST', 'DELETE']) {
      const response = await guard.call({ method, path, headers: { authorization: team.adam.bearer } });
      assert.equal(response.status, 400, `${method} ${path}`);
    }
  }
  assert.deepEqual(upstream.seen, []);
});

test('P4: what is forwarded is byte for byte what was checked', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const path = '/v1/models/hf.co:8080..x_y-Z';
  const response = await guard.call({ path, headers: { authorization: team.mia.bearer } });
  assert.equal(response.status, 200);
  assert.deepEqual(upstream.seen, [`GET ${path}`]);
});
