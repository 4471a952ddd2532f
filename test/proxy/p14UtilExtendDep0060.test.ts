// https://github.com/http-party/node-http-proxy/issues/1715 #1674: `util._extend` warns in every process that loads it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBundledGuard } from '../support/bundledGuard.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { team } from '../support/people.ts';
import { request } from '../support/rawClient.ts';

test('P14: the bundled guard thread forwards without a warning about util._extend', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startBundledGuard(t, upstream.url);
  assert.equal((await request(t, guard.port, { headers: { authorization: team.mia.bearer } })).status, 200);
  assert.equal(await guard.end(), '');
});

test('P14: without the esbuild plugin there is one', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startBundledGuard(t, upstream.url, { plugins: [] });
  await request(t, guard.port, { headers: { authorization: team.mia.bearer } });
  assert.match(await guard.end(), /DEP0060/);
});
