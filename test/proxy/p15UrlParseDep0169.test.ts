// Node 24 warns about `url.parse` outside of node_modules, which is where a bundle is: the adapter must not reach it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { Plugin } from 'esbuild';
import { bodies } from '../support/bodies.ts';
import { startBundledGuard } from '../support/bundledGuard.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { team } from '../support/people.ts';
import { request } from '../support/rawClient.ts';

/** The adapter without `toProxy`, by which http-proxy parses every path. */
const withoutToProxy: Plugin = {
  name: 'without-to-proxy',
  setup: (build) =>
    build.onLoad({ filter: /forward[\\/]forward\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace('toProxy: true', 'toProxy: false'),
      loader: 'ts',
    })),
};

test('P15: the bundled guard thread never calls url.parse', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startBundledGuard(t, upstream.url);
  const headers = { authorization: team.adam.bearer };
  await request(t, guard.port, { headers });
  for (const what of Object.values(bodies)) assert.equal((await request(t, guard.port, what)).status, 200);
  await request(t, guard.port, { method: 'DELETE', path: '/api/delete', headers, body: '{"model":"demo"}' });
  upstream.answer = (reply) => reply.raw('HTTP/1.1 301 Moved\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n');
  await request(t, guard.port, { headers });
  assert.equal(await guard.end(), '');
});

test('P15: a bundle that does call url.parse is found out', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startBundledGuard(t, upstream.url, { plugins: [withoutToProxy] });
  await request(t, guard.port, { headers: { authorization: team.mia.bearer } });
  assert.match(await guard.end(), /DEP0169/);
});
