import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardError } from '../../../src/guard/errors.ts';
import { parsePolicy } from '../../../src/guard/policy/policyDocument.ts';

/** Why a policy is refused; undefined when it is valid. */
function problemOf(policy: unknown): { readonly says: string; readonly place: unknown } | undefined {
  try {
    parsePolicy(policy);
    return undefined;
  } catch (error) {
    assert.ok(GuardError.is(error, 'policy-invalid'));
    return { says: error.message, place: error.detail.args.place };
  }
}

const keeping = (role: string, keepAlive: { readonly min?: string; readonly max?: string }) => ({
  roles: { owner: { cloud: false }, [role]: { clamps: { keepAlive } } },
});

test('a least time in memory that is longer than the most is refused, whichever of them is written', () => {
  const place = (role: string) => `roles.${role}.clamps.keepAlive`;
  const known: readonly (readonly [role: string, min: string | undefined, max: string | undefined, of: string])[] = [
    ['member', '2h', undefined, 'min 2h is longer than max 1h'],
    ['member', '61m', undefined, 'min 61m is longer than max 1h'],
    ['member', undefined, '30s', 'min 1m is longer than max 30s'],
    ['member', undefined, '0', 'min 1m is longer than max 0'],
    ['member', '1d', '23h', 'min 1d is longer than max 23h'],
    ['ci-bots', '2h', undefined, 'min 2h is longer than max 1h'],
    ['admin', '2h', '1h', 'min 2h is longer than max 1h'],
  ];
  for (const [role, min, max, of] of known) {
    const policy = keeping(role, { ...(min && { min }), ...(max && { max }) });
    assert.deepEqual(problemOf(policy), { says: `${place(role)}: ${of}; write both.`, place: place(role) });
  }
});

test('a least time in memory of up to the most is taken, and so is one of them alone where the role has no other', () => {
  const known: readonly (readonly [role: string, min: string | undefined, max: string | undefined])[] = [
    ['member', '2h', '2h'],
    ['member', '60m', undefined],
    ['member', '0', undefined],
    ['member', '0', '0'],
    ['member', undefined, '52w'],
    ['member', undefined, undefined],
    ['ci-bots', '2h', '3h'],
    ['admin', '2h', undefined],
    ['viewer', undefined, '0'],
  ];
  for (const [role, min, max] of known) {
    const policy = keeping(role, { ...(min && { min }), ...(max && { max }) });
    assert.deepEqual(parsePolicy(policy), policy);
  }
});

test('a time that is a number is refused with an example of one that is none', () => {
  const says = (place: string) => `${place}: must be a text in double quotes, such as "5m".`;
  for (const value of [5, 0, null, true, ['5m']]) {
    assert.equal(problemOf({ queue: { maxWait: value } })?.says, says('queue.maxWait'));
    const { says: said } = problemOf({ roles: { member: { clamps: { keepAlive: { max: value } } } } }) ?? {};
    assert.equal(said, says('roles.member.clamps.keepAlive.max'));
  }
  assert.equal(problemOf({ queue: { maxWait: '5' } })?.says, 'queue.maxWait: must be a time such as 30s, 5m or 1h.');
});
