// SEC-78: routes that act on the owner's ollama.com account, or spend it, are closed to everyone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';

test("SEC-78: the owner's account is 403 for every role", async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const closed = [
    ['POST', '/api/me'],
    ['POST', '/api/signout'],
    ['DELETE', '/api/user/keys/c3NoLWVkMjU1MTk='],
    ['POST', '/api/experimental/web_search'],
    ['POST', '/api/experimental/web_fetch'],
  ] as const;
  for (const person of [team.vera, team.mia, team.adam]) {
    for (const [method, path] of closed) {
      const headers = { authorization: person.bearer };
      const { status, text } = await guard.call({ method, path, headers, body: '{}' });
      assert.equal(status, 403, `${person.name} ${path}`);
      assert.match(JSON.parse(text).error, /owner/);
    }
  }
  assert.equal(upstream.connections, 0);
});
