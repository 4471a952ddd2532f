// SEC-49: an unknown user who is refused sooner than a known one tells that the name is not there. Counted, not timed:
// the same number of compares, with a hash of the same cost that bcrypt really computes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import { addUser } from '../../src/guard/identity/users.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { basic, team, testCost } from '../support/people.ts';

test('SEC-49: an unknown user costs one compare, of the cost of a known one', async (t) => {
  const upstream = await startFakeOllama(t);
  const users = addUser(team.users, 'keys-only', 'member', undefined);
  const guard = await startGuard(t, upstream, { users });
  for (const name of ['mia', 'nobody', 'keys-only', '', 'no name at all']) {
    const before = guard.compares.length;
    assert.equal((await guard.call({ headers: { authorization: basic(name, 'guess') } })).status, 401, name);
    assert.equal(guard.compares.length, before + 1, name);
    const hash = guard.compares.at(-1)?.hash ?? '';
    assert.equal(bcrypt.getRounds(hash), testCost, name);
    assert.equal(hash.length, 60, name);
  }
});

test('SEC-49: nobody gets in with the decoy, whatever compares say', async (t) => {
  const upstream = await startFakeOllama(t);
  const users = addUser(team.users, 'keys-only', 'member', undefined);
  const guard = await startGuard(t, upstream, { users, comparePassword: async () => true });
  for (const name of ['nobody', 'keys-only', '']) {
    assert.equal((await guard.call({ headers: { authorization: basic(name, 'x') } })).status, 401, name);
  }
  assert.equal(upstream.connections, 0);
});
