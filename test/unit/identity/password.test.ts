import assert from 'node:assert/strict';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import fc from 'fast-check';
import { GuardError } from '../../../src/guard/errors.ts';
import {
  bcryptCost,
  bcryptHash,
  checkPassword,
  decoyHash,
  generatePassword,
  passwordProblem,
} from '../../../src/guard/identity/password.ts';

test('SEC-58: a good password is one that bcrypt reads to its last byte', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (password) => {
      assert.equal(passwordProblem(password) === undefined, password !== '' && !bcrypt.truncates(password));
    }),
  );
  assert.throws(
    () => checkPassword(''),
    (error) => GuardError.is(error, 'password-invalid'),
  );
  assert.throws(() => checkPassword('€'.repeat(25)), /75 bytes/);
});

test('hashes of every tool that is named are taken, and no others', () => {
  const hash = bcrypt.hashSync('x', 4);
  for (const prefix of ['$2a$04', '$2b$12', '$2y$05', '$2a$14'])
    assert.match(hash.replace('$2b$04', prefix), bcryptHash);
  for (const prefix of ['$2x$04', '$2$04', '$2b$16', '$2b$31', '$2b$03', '$2b$4', '$1$04']) {
    assert.doesNotMatch(hash.replace('$2b$04', prefix), bcryptHash);
  }
  assert.doesNotMatch(`${hash}\n`, bcryptHash);
  assert.doesNotMatch(hash.slice(0, -1), bcryptHash);
});

test('SEC-49: the decoy is a hash of the same form and cost as the one it stands in for', () => {
  assert.match(decoyHash(), bcryptHash);
  assert.equal(bcrypt.getRounds(decoyHash()), bcryptCost);
  for (const cost of ['04', '10', '15']) {
    const like = `$2y$${cost}$${bcrypt.hashSync('x', 4).slice(7)}`;
    assert.match(decoyHash(like), bcryptHash);
    assert.equal(bcrypt.getRounds(decoyHash(like)), Number(cost));
  }
});

test('SEC-49: bcrypt computes the decoy to its end and does not turn it down for its form', () => {
  // A malformed hash is answered without any work; the last character of a real digest tells that all was computed.
  const like = bcrypt.hashSync('x', 4);
  const decoy = decoyHash(like);
  const computed = bcrypt.hashSync('guess', decoy.slice(0, 29));
  assert.equal(computed.slice(0, 29), decoy.slice(0, 29), 'its salt is taken as it stands');
  assert.equal(bcrypt.compareSync('guess', decoy), false);
  assert.equal(bcrypt.compareSync('guess', computed), true);
  // The same work, generously: a compare that was cut short takes a thousandth.
  const time = (hash: string) => {
    const runs = Array.from({ length: 5 }, () => {
      const start = performance.now();
      bcrypt.compareSync('guess', hash);
      return performance.now() - start;
    });
    return Math.min(...runs);
  };
  const ten = bcrypt.hashSync('x', 8);
  assert.ok(time(decoyHash(ten)) > time(ten) / 10);
});

test('a generated password is long, readable and new each time', () => {
  const passwords = Array.from({ length: 100 }, generatePassword);
  for (const password of passwords) {
    assert.match(password, /^[a-zA-Z2-9]{6}-[a-zA-Z2-9]{5}-[a-zA-Z2-9]{6}-[a-zA-Z2-9]{5}$/);
    assert.doesNotMatch(password, /[iIlO01]/);
  }
  assert.equal(new Set(passwords).size, 100);
});
