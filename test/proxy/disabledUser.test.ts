/** A user who is switched off is let in nowhere, and what already streams ends; switched on, all is as before. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { changeUser } from '../../src/guard/identity/users.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

for (const by of ['basic', 'bearer'] as const) {
  it(`a disabled user is refused and cut off (${by})`, async (t) => {
    const demo = await startDemoOllama({ tokensPerSecond: 20, tokens: 1_000_000 });
    t.after(() => demo.stop());
    const { guard } = await startGuard(t, demo.url);
    const ask = (path: string, init: RequestInit = {}) =>
      fetch(`${guard.url}${path}`, { ...init, headers: { authorization: team.mia[by] } });
    const stream = await ask('/api/generate', {
      method: 'POST',
      body: JSON.stringify({ model: 'demo', prompt: 'Hello' }),
    });
    assert.equal(stream.status, 200);

    guard.setUsers(changeUser(team.users, 'mia', { disabled: true }));
    await assert.rejects(stream.text());
    assert.equal((await ask('/api/tags')).status, 401);

    guard.setUsers(changeUser(team.users, 'mia', { disabled: null }));
    assert.equal((await ask('/api/tags')).status, 200);
  });
}
