import assert from 'node:assert/strict';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import { createDirectory } from '../../../src/guard/identity/directory.ts';
import { bcryptCost } from '../../../src/guard/identity/password.ts';
import { addUser, type User } from '../../../src/guard/identity/users.ts';
import { team } from '../../support/people.ts';

test('finds users by their exact name and keys by their id', () => {
  const directory = createDirectory(team.users);
  assert.equal(directory.size, 3);
  assert.equal(directory.byName('mia')?.name, 'mia');
  assert.equal(directory.byKeyId(team.mia.keyId)?.user.name, 'mia');
  for (const name of ['MIA', '', '__proto__', 'constructor', 'toString']) {
    assert.equal(directory.byName(name), undefined, name);
    assert.equal(directory.byKeyId(name), undefined, name);
  }
});

test('SEC-49: a name without a hash always meets the same cost, and one that occurs', () => {
  let users: readonly User[] = [];
  for (const cost of [4, 5, 6]) users = addUser(users, `user${cost}`, 'viewer', bcrypt.hashSync('x', cost));
  const directory = createDirectory(users);
  const costs = new Set<number>();
  for (let i = 0; i < 50; i++) {
    const name = `nobody${i}`;
    assert.equal(directory.decoyFor(name), directory.decoyFor(name));
    costs.add(bcrypt.getRounds(directory.decoyFor(name)));
  }
  assert.deepEqual([...costs].toSorted(), [4, 5, 6]);
  assert.equal(bcrypt.getRounds(createDirectory([]).decoyFor('nobody')), bcryptCost);
});
