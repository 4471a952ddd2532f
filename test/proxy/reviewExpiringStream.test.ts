/** A live stream must not outlive the key it began with. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { addApiKey } from '../../src/guard/identity/users.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

it('a stream ends when its API key runs out', async (t) => {
  const demo = await startDemoOllama({ tokensPerSecond: 20, tokens: 1_000_000 });
  t.after(() => demo.stop());
  const { users, text } = addApiKey(team.users, 'mia', 'short', new Date(Date.now() + 500));
  const { guard } = await startGuard(t, demo.url, { users });
  const stream = await fetch(`${guard.url}/api/generate`, {
    method: 'POST',
    headers: { authorization: `Bearer ${text}` },
    body: JSON.stringify({ model: 'demo', prompt: 'Hello' }),
  });
  assert.equal(stream.status, 200);
  await assert.rejects(stream.text());
});
