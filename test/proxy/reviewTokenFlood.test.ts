/** Bad tokens cost no hash; a flood of them from an address must not keep a right password there out. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

it('the right password passes while its address floods with bad tokens', async (t) => {
  const demo = await startDemoOllama();
  t.after(() => demo.stop());
  const guard = await startGuard(t, demo.url);
  const status = async (authorization: string) =>
    (await guard.call({ path: '/api/tags', headers: { authorization } })).status;
  const flood = [];
  for (let i = 0; i < 15; i++) flood.push(await status(`Bearer bogus${i}`));
  assert.deepEqual([flood[0], flood.at(-1)], [401, 429]);
  assert.equal(await status(team.mia.basic), 200);
  assert.equal(await status(team.mia.bearer), 200);
});
