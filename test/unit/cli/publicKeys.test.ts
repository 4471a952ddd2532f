import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withKeys } from '../../../src/cli/publicKeys.ts';
import { addUser, findUser } from '../../../src/guard/identity/users.ts';

const blob = (letter: string) => `AAAAC3NzaC1lZDI1NTE5AAAAI${letter.repeat(43)}`;

describe('withKeys', () => {
  it('adds keys and users, leaves out what it cannot, and changes nothing the second time', () => {
    const before = addUser(addUser([], 'alice', 'admin'), 'Carl', 'viewer');
    const entries = [
      { user: 'alice', blob: blob('A'), label: 'laptop' },
      { user: 'bob', blob: blob('B'), label: '' },
      { user: 'bob', blob: blob('C'), label: 'ci' },
      { user: 'bob', blob: blob('A'), label: 'stolen' },
      { user: 'carl', blob: blob('D'), label: '' },
      { blob: blob('E'), label: '(nobody)' },
      { user: 'alice', blob: blob('A'), label: 'again' },
    ];
    const first = withKeys(before, entries, 'member');
    assert.deepEqual(
      first.users.map(({ name, role, publicKeys = [] }) => [name, role, publicKeys.map(({ label }) => label)]),
      [
        ['alice', 'admin', ['laptop']],
        ['Carl', 'viewer', []],
        ['bob', 'member', ['', 'ci']],
      ],
    );
    assert.equal(findUser(first.users, 'bob').passwordHash, undefined);
    assert.deepEqual([first.newKeys, first.newUsers], [3, 1]);
    assert.deepEqual(first.leftOut, [
      'The key "bob stolen" was left out: it is of user alice already.',
      'The key "carl" was left out: there is a user of that name written otherwise.',
      'The key "(nobody)" was left out: no user name stands after it.',
    ]);

    const second = withKeys(first.users, entries, 'admin');
    assert.equal(second.users, first.users);
    assert.deepEqual([second.newKeys, second.newUsers], [0, 0]);
  });
});
