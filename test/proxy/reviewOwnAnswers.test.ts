/** What the guard answers to everyone takes no body, and a stranger's path does not reach the log. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

it('health and heartbeat refuse a body', async (t) => {
  const guard = await startGuard(t, 'http://127.0.0.1:1');
  for (const [method, path] of [
    ['GET', '/_guard/health'],
    ['HEAD', '/'],
  ] as const) {
    const plain = await guard.call({ method, path });
    assert.equal(plain.status, 200, path);
    const laden = await guard.call({ method, path, headers: { 'content-length': '5' }, body: 'hello' });
    assert.equal(laden.status, 400, path);
  }
});

it('a path that is not on the surface is not logged', async (t) => {
  const guard = await startGuard(t, 'http://127.0.0.1:1');
  await guard.call({ path: `/${team.mia.key}` });
  const event = await guard.event('request');
  assert.equal(event.path, '-');
  assert.ok(!JSON.stringify(guard.events).includes(team.mia.key));
});
