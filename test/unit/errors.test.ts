import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardError, systemErrorCode } from '../../src/guard/errors.ts';

test('a GuardError is known by its code', () => {
  const error = new GuardError('no-users', 'text', { cause: 1 });
  assert.equal(GuardError.is(error) && GuardError.is(error, 'no-users'), true);
  assert.equal(error.cause, 1);
  assert.ok(!GuardError.is(new Error('text')));
  assert.equal(GuardError.is(error, 'user-exists'), false);
});

test('the words of a GuardError are data too, and stand in English in its message', () => {
  const text = 'There is no user {name}, {other}, {name}.';
  const error = new GuardError('user-unknown', text, { args: { name: '{other}' } });
  assert.equal(error.message, 'There is no user {other}, {other}, {other}.');
  assert.deepEqual(error.detail, { text, args: { name: '{other}' } });
  assert.deepEqual(new GuardError('no-users', 'text').detail, { text: 'text', args: {} });
});

test('system errors have a code', () => {
  assert.equal(systemErrorCode(Object.assign(new Error(), { code: 'ENOENT' })), 'ENOENT');
  assert.equal(systemErrorCode(Object.assign(new Error(), { code: 7 })), undefined);
  assert.equal(systemErrorCode({ code: 'ENOENT' }), undefined);
});
