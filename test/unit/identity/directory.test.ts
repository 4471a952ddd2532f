import assert from 'node:assert/strict';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import { createDirectory } from '../../../src/guard/identity/directory.ts';
import { bcryptCost } from '../../../src/guard/identity/password.ts';
import { addUser, type User } from '../../../src/guard/identity/users.ts';
import { createCliKey, withPublicKey } from '../../support/ollamaCli.ts';
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

test('finds users by their name in any case, and public keys by what they are', () => {
  const key = createCliKey();
  const directory = createDirectory(withPublicKey(team.users, 'mia', key));
  assert.equal(directory.byNameInAnyCase('MIA')?.name, 'mia');
  assert.equal(directory.byNameInAnyCase('mi'), undefined);
  const found = directory.byPublicKey(key.blob);
  assert.deepEqual([found?.user.name, found?.key.blob], ['mia', key.blob]);
  for (const blob of [createCliKey().blob, '', '__proto__', 'constructor']) {
    assert.equal(directory.byPublicKey(blob), undefined, blob);
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
