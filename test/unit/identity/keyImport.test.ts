import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { editOf, planKeyImport } from '../../../src/guard/identity/keyImport.ts';
import { applyEdit } from '../../../src/guard/identity/userEdit.ts';
import { addUser, findUser } from '../../../src/guard/identity/users.ts';
import { inEnglish } from '../../../src/guard/message.ts';

const blob = (letter: string) => `AAAAC3NzaC1lZDI1NTE5AAAAI${letter.repeat(43)}`;

describe('planKeyImport', () => {
  it('adds keys and users, leaves out what it cannot, and changes nothing the second time', () => {
    const before = addUser(addUser([], 'alice', 'admin'), 'Carl', 'viewer');
    const entries = [
      { user: 'alice', blob: blob('A'), label: 'laptop' },
      { user: 'bob', blob: blob('B'), label: '' },
      { user: 'bob', blob: blob('C'), label: 'ci' },
      { user: 'bob', blob: blob('A'), label: 'sto\u001blen' },
      { user: 'carl', blob: blob('D'), label: '' },
      { user: 'BOB', blob: blob('E'), label: '' },
      { blob: blob('F'), label: '(nobody)' },
      { blob: blob('A'), label: '' },
      { user: 'alice', blob: blob('A'), label: 'again' },
    ];
    const first = planKeyImport(before, entries);
    assert.deepEqual(first.newUsers, ['bob']);
    assert.deepEqual(first.leftOut.map(inEnglish), [
      'The key "bob stolen" was left out: it is of user alice already.',
      'The key "carl" was left out: there is a user of that name written otherwise.',
      'The key "BOB" was left out: there is a user of that name written otherwise.',
      'The key "(nobody)" was left out: no user name stands after it.',
      'The key "" was left out: it is of user alice already.',
    ]);
    const after = applyEdit(before, editOf(first, 'member'));
    assert.deepEqual(
      after.map(({ name, role, publicKeys = [] }) => [name, role, publicKeys.map(({ label }) => label)]),
      [
        ['alice', 'admin', ['laptop']],
        ['Carl', 'viewer', []],
        ['bob', 'member', ['', 'ci']],
      ],
    );
    assert.equal(findUser(after, 'bob').passwordHash, undefined);

    const second = planKeyImport(after, entries);
    assert.deepEqual([second.newUsers, second.newKeys], [[], []]);
    assert.equal(applyEdit(after, editOf(second, 'admin')), after);
  });
});
