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

test('a name that JavaScript takes for another thing is refused, and not left out', () => {
  for (const [text, place] of [
    ['{"__proto__":{}}', '__proto__'],
    ['{"roles":{"__proto__":{"can":[]}}}', 'roles.__proto__'],
    ['{"roles":{"a":{"models":{"__proto__":1}}}}', 'roles.a.models.__proto__'],
  ] as const) {
    assert.equal(problemOf(JSON.parse(text))?.says, `${place}: is not known here.`);
  }
});

test('a glob that could name no model is refused, because a model that it was to deny would be allowed', () => {
  const problem = (glob: string) => problemOf({ roles: { member: { models: { deny: [glob] } } } })?.says;
  const good = [
    'llama3.2',
    'qwen*',
    '*:70b',
    '*',
    '?',
    'x:cloud',
    'x:7b-cloud',
    'hf.co/*',
    'localhost:5000/a/b',
    'A_b-*:Q4',
    'library/x',
    'registry.ollama.ai/library/x:7b',
    'hf.co/bartowski/x:q4',
  ];
  for (const glob of good) assert.equal(problem(glob), undefined, glob);
  const bad = [
    '',
    'x:local',
    'x:LOCAL',
    '*:local',
    'x@sha256:abc',
    'https://hf.co/a/b',
    'http:/a',
    'x:',
    ':70b',
    '/x',
    'x/',
    'a//b',
  ];
  for (const glob of [...bad, 'x y', 'x'.repeat(257)]) assert.match(problem(glob) ?? '', /must be a model name/, glob);
  const ofNothing = ['hf.co/bartowski', 'a/b/c/d', 'x:7b:q4', 'x:cloud:latest', 'x:7b-cloud:cloud', '-x', '.x', 'x:.'];
  for (const glob of [...ofNothing, 'library/library/x', 'registry.ollama.ai/registry.ollama.ai/x']) {
    assert.match(problem(glob) ?? '', /must name a model: what is left open is a \*/, glob);
  }
});

test('an issuer that could let nobody in, or gives roles by no claim, is refused', () => {
  const issuer = { issuer: 'https://a.example', audience: ['x'] };
  const problem = (more: object) => problemOf({ issuers: [{ ...issuer, ...more }] })?.says;
  assert.match(problem({}) ?? '', /^issuers\.0: must have a defaultRole or roles/);
  assert.match(problem({ roles: { staff: 'member' } }) ?? '', /^issuers\.0: must say in claims\.role/);
  assert.match(
    problem({ roles: { staff: 'member' }, claims: { user: 'sub' }, defaultRole: 'viewer' }) ?? '',
    /claims\.role/,
  );
  assert.equal(problem({ roles: { staff: 'member' }, claims: { role: 'groups' } }), undefined);
  assert.equal(problem({ defaultRole: 'viewer' }), undefined);
});

test('an answer cannot be clamped to a length that bounds nothing', () => {
  const problem = (outputTokens: number) => problemOf({ roles: { member: { clamps: { outputTokens } } } })?.says;
  assert.equal(problem(2 ** 31 - 1), undefined);
  assert.equal(problem(2 ** 31), 'roles.member.clamps.outputTokens: must be 2147483647 or less.');
});
