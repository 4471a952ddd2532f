import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  accessOf,
  builtInRoles,
  decideRoute,
  defaultPolicy,
  type Policy,
  type Role,
  resolvePolicy,
  roleNames,
} from '../../../src/guard/policy/policy.ts';
import type { Clamps } from '../../../src/guard/policy/policyDocument.ts';
import { routes } from '../../../src/guard/routes.ts';

const digest = `sha256:${'0a'.repeat(32)}`;
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND', 'get', ''];

/**
 * Ollama's surface as reference/ollama-api.md §1 has it, written out here a second time: who may, by least role;
 * `nobody` for the owner's account.
 */
const surface: readonly (readonly [methods: string, path: string, least: string])[] = [
  ['GET', '/', 'viewer'],
  ['GET HEAD', '/api/version', 'viewer'],
  ['GET', '/api/status', 'viewer'],
  ['GET HEAD', '/api/tags', 'viewer'],
  ['GET', '/api/ps', 'viewer'],
  ['POST', '/api/show', 'viewer'],
  ['GET', '/v1/models', 'viewer'],
  ['GET', '/v1/models/llama3.2:3b', 'viewer'],
  ['GET', '/api/experimental/model-recommendations', 'viewer'],
  ['POST', '/api/generate', 'member'],
  ['POST', '/api/chat', 'member'],
  ['POST', '/api/embed', 'member'],
  ['POST', '/api/embeddings', 'member'],
  ['POST', '/v1/chat/completions', 'member'],
  ['POST', '/v1/completions', 'member'],
  ['POST', '/v1/embeddings', 'member'],
  ['POST', '/v1/responses', 'member'],
  ['POST', '/v1/messages', 'member'],
  ['POST', '/v1/audio/transcriptions', 'member'],
  ['POST', '/api/pull', 'admin'],
  ['POST', '/api/push', 'admin'],
  ['POST', '/api/create', 'admin'],
  ['POST', '/api/copy', 'admin'],
  ['DELETE', '/api/delete', 'admin'],
  ['HEAD POST', `/api/blobs/${digest}`, 'admin'],
  ['POST', '/api/me', 'nobody'],
  ['POST', '/api/signout', 'nobody'],
  ['DELETE', '/api/user/keys/AAAA+bbb=', 'nobody'],
  ['POST', '/api/experimental/web_search', 'nobody'],
  ['POST', '/api/experimental/web_fetch', 'nobody'],
];

function expected(least: string, role: string): string {
  if (least === 'nobody') return 'owner-only';
  return roleNames.indexOf(role) >= roleNames.indexOf(least) ? 'yes' : 'not-permitted';
}

function decided(role: string, method: string, path: string, policy = defaultPolicy): string {
  const decision = decideRoute(accessOf(policy, { role }).can, method, path);
  return 'route' in decision ? 'yes' : decision.refusal;
}

function roleIn({ roles }: Policy, name: string): Role {
  const role = roles.get(name);
  assert.ok(role, name);
  return role;
}

test('SEC-18, SEC-19: every role, method and route has its decision', () => {
  for (const [allowed, path, least] of surface) {
    for (const role of roleNames) {
      for (const method of methods) {
        const wanted = allowed.split(' ').includes(method) ? expected(least, role) : 'method-not-allowed';
        assert.equal(decided(role, method, path), wanted, `${role} ${method} ${path}`);
      }
    }
  }
});

test('the owner may as much as an admin, beside models of ollama.com and the first place in the queue', () => {
  const [owner, admin] = [roleIn(defaultPolicy, 'owner'), roleIn(defaultPolicy, 'admin')];
  assert.deepEqual(owner, { ...admin, name: 'owner', cloud: true, priority: 10 });
});

test('SEC-39, SEC-78: without a policy, nobody but the owner may use what the owner pays for, and no member unloads a model', () => {
  assert.deepEqual(
    builtInRoles.filter(({ cloud }) => cloud).map(({ name }) => name),
    ['owner'],
  );
  assert.deepEqual(roleIn(defaultPolicy, 'member').clamps.keepAlive, { min: '1m', max: '1h' });
  for (const { registries, models } of builtInRoles) {
    assert.deepEqual(registries, ['registry.ollama.ai']);
    assert.deepEqual(models, { allow: ['*'], deny: [] });
  }
});

test('SEC-10: without a policy, an upload of 64 GiB is the largest, for a role that the policy does not know as well', () => {
  for (const role of [...roleNames, 'gone']) {
    assert.equal(accessOf(defaultPolicy, { role }).clamps.uploadBytes, 68_719_476_736, role);
  }
  const policy = resolvePolicy({ roles: { admin: { clamps: { uploadBytes: 1 } }, other: { clamps: { images: 0 } } } });
  assert.deepEqual(roleIn(policy, 'admin').clamps, { uploadBytes: 1 });
  assert.equal(roleIn(policy, 'other').clamps.uploadBytes, 68_719_476_736);
});

test('a role of the policy is made as it says, and is otherwise as careful as member', () => {
  const policy = resolvePolicy({
    roles: { 'ci-bots': { can: ['infer'], models: { allow: ['qwen*'] }, limits: { requestsPerMinute: 3 }, weight: 2 } },
  });
  const member = roleIn(policy, 'member');
  assert.deepEqual(roleIn(policy, 'ci-bots'), {
    ...member,
    name: 'ci-bots',
    can: ['infer'],
    models: { allow: ['qwen*'], deny: [] },
    limits: { requestsPerMinute: 3 },
    weight: 2,
  });
  assert.deepEqual(roleIn(resolvePolicy({ roles: { other: {} } }), 'other'), { ...member, name: 'other' });
  assert.equal(decided('ci-bots', 'POST', '/api/chat', policy), 'yes');
  assert.equal(decided('ci-bots', 'GET', '/api/tags', policy), 'not-permitted');
  assert.equal(decided('ci-bots', 'POST', '/api/me', policy), 'owner-only');
});

test('a role that is there anyway keeps what the policy does not mention', () => {
  const document = {
    roles: { member: { models: { deny: ['*:70b'] }, clamps: { contextTokens: 4_096 }, limits: { tokensPerDay: 9 } } },
  };
  const policy = resolvePolicy(document);
  const before = roleIn(defaultPolicy, 'member');
  assert.deepEqual(roleIn(policy, 'member'), {
    ...before,
    models: { allow: ['*'], deny: ['*:70b'] },
    clamps: { ...before.clamps, contextTokens: 4_096 },
    limits: { tokensPerDay: 9 },
  });
  for (const name of ['viewer', 'admin', 'owner']) assert.equal(roleIn(policy, name), roleIn(defaultPolicy, name));
  const keepAlive = (name: string, written: NonNullable<Clamps['keepAlive']>) =>
    roleIn(resolvePolicy({ roles: { [name]: { clamps: { keepAlive: written } } } }), name).clamps.keepAlive;
  assert.deepEqual(keepAlive('member', { max: '2h' }), { min: '1m', max: '2h' });
  assert.deepEqual(keepAlive('member', { min: '0' }), { min: '0', max: '1h' });
  assert.deepEqual(keepAlive('member', {}), { min: '1m', max: '1h' });
  assert.deepEqual(keepAlive('other', { max: '2h' }), { min: '1m', max: '2h' });
  assert.deepEqual(keepAlive('admin', { max: '2h' }), { max: '2h' });
  assert.equal(roleIn(policy, 'admin').clamps.keepAlive, undefined);
  // The built-in roles are as they were for the next policy.
  assert.equal(roleIn(defaultPolicy, 'member'), before);
  assert.deepEqual(roleIn(resolvePolicy({}), 'member'), before);
});

test('a policy may take from a role that is there anyway', () => {
  const policy = resolvePolicy({ roles: { owner: { can: [], cloud: false }, admin: { models: { allow: [] } } } });
  assert.equal(decided('owner', 'GET', '/api/tags', policy), 'not-permitted');
  assert.equal(roleIn(policy, 'owner').cloud, false);
  assert.deepEqual(roleIn(policy, 'admin').models, { allow: [], deny: [] });
});

test("the queue's numbers have defaults, one by one", () => {
  assert.deepEqual(defaultPolicy.queue, { concurrency: 4, length: 256, maxWaitMs: 600_000 });
  const { queue } = resolvePolicy({ queue: { concurrency: 1, maxWait: '30s' } });
  assert.deepEqual(queue, { concurrency: 1, length: 256, maxWaitMs: 30_000 });
  assert.equal(resolvePolicy({ queue: { maxWait: '0' } }).queue.maxWaitMs, 0);
});

test('SEC-15: a role that the policy does not know may nothing', () => {
  for (const role of ['gone', '__proto__', 'constructor', '']) {
    const access = accessOf(defaultPolicy, { role, models: { allow: ['*'] }, limits: { requestsPerMinute: 1_000 } });
    assert.deepEqual(access.can, [], role);
    assert.equal(access.cloud, false, role);
    for (const { method, path } of routes) {
      const called = typeof path === 'string' ? path : '/v1/models/x';
      if (typeof path === 'string' || path.test(called)) assert.notEqual(decided(role, method, called), 'yes', role);
    }
  }
  assert.deepEqual(accessOf(defaultPolicy, { role: 'gone' }).models.allow.globs, []);
});

test("what is a user's own goes over what is the role's", () => {
  const policy = resolvePolicy({
    roles: {
      member: {
        models: { allow: ['llama*'], deny: ['*:70b'] },
        limits: { requestsPerMinute: 10, tokensPerDay: 100 },
        limitsPerKey: { requestsPerMinute: 5 },
      },
    },
  });
  const member = roleIn(policy, 'member');
  const access = accessOf(policy, {
    role: 'member',
    models: { allow: ['qwen*'], deny: ['*q4'] },
    limits: { requestsPerMinute: 20, concurrentRequests: 2 },
  });
  assert.deepEqual(access.models, {
    deny: [
      { place: 'roles.member.models.deny', globs: ['*:70b'] },
      { place: 'user.models.deny', globs: ['*q4'] },
    ],
    allow: { place: 'user.models.allow', globs: ['qwen*'] },
  });
  assert.deepEqual(access.limits, { requestsPerMinute: 20, tokensPerDay: 100, concurrentRequests: 2 });
  const { name: _name, models: _models, limits: _limits, ...rest } = member;
  const { role, models: _own, limits: _ownLimits, ...kept } = access;
  assert.equal(role, 'member');
  assert.deepEqual(kept, rest);
});

test("a user who has one list of its own keeps the role's other", () => {
  const policy = resolvePolicy({ roles: { member: { models: { allow: ['llama*'], deny: ['*:70b'] } } } });
  const denied = accessOf(policy, { role: 'member', models: { deny: ['*q4'] } });
  assert.deepEqual(denied.models.allow, { place: 'roles.member.models.allow', globs: ['llama*'] });
  const nothing = accessOf(policy, { role: 'member', models: { allow: [] } });
  assert.deepEqual(nothing.models, {
    deny: [{ place: 'roles.member.models.deny', globs: ['*:70b'] }],
    allow: { place: 'user.models.allow', globs: [] },
  });
  assert.deepEqual(accessOf(policy, { role: 'viewer' }).models, {
    deny: [],
    allow: { place: 'roles.viewer.models.allow', globs: ['*'] },
  });
});

test('access is worked out once for a role, and once for each user who has something of its own', () => {
  const policy = resolvePolicy({ roles: { member: { limits: { tokensPerDay: 9 } } } });
  const member = accessOf(policy, { role: 'member' });
  assert.equal(accessOf(policy, { role: 'member' }), member);
  assert.notEqual(accessOf(policy, { role: 'admin' }), member);
  const mia = { role: 'member', models: { deny: ['x'] } };
  const own = accessOf(policy, mia);
  assert.deepEqual(own.models.deny, [{ place: 'user.models.deny', globs: ['x'] }]);
  assert.equal(accessOf(policy, mia), own);
  assert.equal(accessOf(policy, { role: 'member', limits: { tokensPerDay: 1 } }).limits.tokensPerDay, 1);
  assert.equal(accessOf(policy, { ...mia, role: 'admin' }).role, 'admin');
  // Another policy, or another record of the user, is asked anew.
  assert.equal(accessOf(defaultPolicy, { role: 'member' }).limits.tokensPerDay, undefined);
  assert.equal(accessOf(defaultPolicy, mia).limits.tokensPerDay, undefined);
  assert.deepEqual(accessOf(policy, { ...mia, models: { deny: ['y'] } }).models.deny[0]?.globs, ['y']);
  assert.equal(accessOf(policy, { role: 'member' }), member);
});

test('the table holds no route beyond the surface', () => {
  const known = new Set(surface.flatMap(([allowed, path]) => allowed.split(' ').map((method) => `${method} ${path}`)));
  assert.equal(routes.length, known.size);
});

test('SEC-18, SEC-22: whatever is not in the table is not found, for every role', () => {
  const near = [
    '',
    '/api',
    '/api/',
    '/api/tags/',
    '/API/TAGS',
    '/api/tagsx',
    '/xapi/tags',
    '/api/blobs/sha256:0',
    `/api/blobs/${digest}0`,
    `/api/blobs/${digest.toUpperCase()}`,
    `/api/blobs/${digest}/x`,
    '/api/blobs/',
    '/v1/models/',
    '/v1/models/a/b',
    '/v1/models/.x',
    `/v1/models/${'x'.repeat(256)}`,
    '/v1/models/x\n',
    '/v1/images/generations',
    '/v1/messages/count_tokens',
    '/v1/cache',
    '/api/web_search',
    '/api/user/keys',
    '/__proto__',
    '/constructor',
    '/_guard/health',
  ];
  for (const path of near) {
    for (const role of roleNames) {
      for (const method of methods) assert.equal(decided(role, method, path), 'not-found', `${role} ${method} ${path}`);
    }
  }
});
