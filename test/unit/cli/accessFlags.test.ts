import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AccessFlags, changeOf } from '../../../src/cli/accessFlags.ts';
import { accessWords } from '../../../src/cli/accessWords.ts';
import { addUser, changeUser, findUser, type User } from '../../../src/guard/identity/users.ts';

const now = Date.parse('2026-12-01T12:00:00.000Z');

/** A user after one set of flags and then another. */
function userAfter(...steps: readonly AccessFlags[]): User {
  const users = steps.reduce(
    (before, flags) => changeUser(before, 'alice', changeOf(findUser(before, 'alice'), flags, now)),
    addUser([], 'alice', 'member'),
  );
  return findUser(users, 'alice');
}

const words = (...steps: readonly AccessFlags[]) => accessWords(userAfter(...steps), now).join('; ');

describe('changeOf', () => {
  it('changes what is written and leaves the rest as it is', () => {
    const before: AccessFlags = { models: ['a', 'b*'], denyModels: ['b2'], expires: 60_000, rpm: 1, concurrent: 2 };
    assert.equal(
      words(before),
      'models a, b*; not b2; 1 request a minute; 2 requests at once; expires 2026-12-01 12:01 UTC',
    );
    assert.equal(words(before, { rpm: 30 }), words({ ...before, rpm: 30 }));
    assert.equal(words(before, { models: ['c'] }), words({ ...before, models: ['c'] }));
    assert.equal(words(before, { denyModels: ['c'] }), words({ ...before, denyModels: ['c'] }));
    assert.equal(
      words(before, { tokensPerMinute: 5, tokensPerDay: 7 }),
      words({ ...before, tokensPerMinute: 5, tokensPerDay: 7 }),
    );
    assert.equal(userAfter(before, { role: 'admin' }).role, 'admin');
    assert.deepEqual(changeOf(userAfter(before), {}, now), {});
  });

  it('takes things away', () => {
    const before: AccessFlags = { models: ['a'], denyModels: ['b'], expires: 60_000, rpm: 1, tokensPerDay: 2 };
    assert.equal(
      words(before, { rpm: 'none' }),
      words({ models: ['a'], denyModels: ['b'], expires: 60_000, tokensPerDay: 2 }),
    );
    assert.equal(
      words(before, { allModels: true, denyModels: ['c'] }),
      words({ denyModels: ['c'], expires: 60_000, rpm: 1, tokensPerDay: 2 }),
    );
    const bare = userAfter(before, { allModels: true, expiry: false, rpm: 'none', tokensPerDay: 'none' });
    assert.deepEqual({ ...bare, id: '', createdAt: '' }, { ...userAfter(), id: '', createdAt: '' });
  });
});

describe('accessWords', () => {
  it('says that access has ended', () => {
    const user = { ...userAfter({ expires: 60_000 }), disabled: true as const };
    assert.deepEqual(accessWords(user, now + 60_000), ['expired 2026-12-01 12:01 UTC', 'disabled']);
    assert.deepEqual(accessWords({ models: { allow: [] } }, now), ['models none']);
  });
});
