import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { changeUser } from '../../../src/guard/identity/users.ts';
import { explain } from '../../../src/guard/policy/explain.ts';
import { judgeBody, judgePath } from '../../../src/guard/policy/models.ts';
import { accessOf, decideRoute, resolvePolicy } from '../../../src/guard/policy/policy.ts';
import { routes } from '../../../src/guard/routes.ts';
import { withPerson } from '../../support/people.ts';
import { factsOf } from './bodyFacts.ts';

const now = Date.parse('2026-06-01T00:00:00.000Z');

const policy = resolvePolicy({
  roles: {
    member: {
      models: { allow: ['llama3*', 'qwen*'], deny: ['*:70b'] },
      clamps: { contextTokens: 8_192, options: ['temperature', 'top_p'], images: 0 },
      limits: { requestsPerMinute: 30, tokensPerDay: 1_000 },
      limitsPerKey: { concurrentRequests: 2 },
      priority: -5,
      weight: 3,
    },
  },
});

const roles = { vera: 'viewer', mia: 'member', adam: 'admin', olga: 'owner', bob: 'bots', max: 'member' };
const team = Object.entries(roles).reduce((users, [name, role]) => withPerson(users, name, role).users, [] as Users);
type Users = Parameters<typeof explain>[1];
const users = [
  { name: 'max', change: { models: { allow: ['mistral'], deny: ['*q4'] }, limits: { requestsPerMinute: 60 } } },
  { name: 'olga', change: { expiresAt: '2026-06-01T00:00:00.001Z' } },
].reduce((all, { name, change }) => changeUser(all, name, change), team);

const ask = (question: string, among = users) => {
  const [user = '', method = '', path = '', model] = question.split(' ');
  return explain(policy, among, { user, method, path, now, ...(model !== undefined && { model }) });
};

/** The rule that decided, and the refusal in front of it. */
const decider = (question: string, among = users): string => {
  const { allowed, refusal, rules } = ask(question, among);
  assert.equal(refusal === undefined, allowed);
  const { place, says } = rules.at(-1) ?? { place: '', says: '' };
  return `${refusal ?? 'yes'} ${place}: ${says}`;
};

test('an explanation ends with the rule that decided', () => {
  const known: readonly (readonly [question: string, decider: string])[] = [
    ['mia POST /api/chat llama3.2', 'yes roles.member.models.allow: llama3*'],
    ['mia POST /api/chat Llama3.3:70B', 'model-not-permitted roles.member.models.deny: *:70b'],
    ['mia POST /api/chat mistral', 'model-not-permitted roles.member.models.allow: llama3*, qwen*'],
    ['mia POST /api/chat qwen3:cloud', 'cloud-not-permitted roles.member.cloud: false'],
    ['mia POST /api/chat x:cloud:local', 'bad-model model: not the name of a model'],
    ['mia POST /api/pull qwen3', 'not-permitted roles.member.can: read, infer'],
    ['mia GET /api/tags', 'yes roles.member.can: read, infer'],
    ['mia GET /v1/models/qwen3', 'yes roles.member.models.allow: qwen*'],
    ['mia GET /v1/models/mistral qwen3', 'model-not-permitted roles.member.models.allow: llama3*, qwen*'],
    ['mia GET /api/tags?x=1', 'yes roles.member.can: read, infer'],
    ['max POST /api/chat mistral:7b', 'yes users.max.models.allow: mistral'],
    ['max POST /api/chat mistral:q4', 'model-not-permitted users.max.models.deny: *q4'],
    ['max POST /api/chat qwen3', 'model-not-permitted users.max.models.allow: mistral'],
    ['adam POST /api/pull qwen3', 'yes roles.admin.registries: registry.ollama.ai'],
    ['adam POST /api/pull hf.co/a/b', 'registry-not-permitted roles.admin.registries: registry.ollama.ai'],
    ['adam POST /api/copy x', 'yes roles.admin.models.allow: *'],
    ['adam POST /api/push x:local', 'bad-model model: not the name of a model'],
    ['adam POST /api/me', 'owner-only routes: POST /api/me is closed to everyone'],
    ['adam POST /api/nothing', 'not-found routes: no /api/nothing'],
    ['adam POST /api/tags', 'method-not-allowed routes: /api/tags takes GET, HEAD'],
    ['adam POST /api/%63hat x', 'bad-target path: not in its plain form'],
    ['olga POST /api/chat x:cloud', 'yes roles.owner.models.allow: *'],
    ['bob GET /api/tags', 'not-permitted roles.bots: no such role'],
    ['vera POST /api/chat qwen3', 'not-permitted roles.viewer.can: read'],
    ['nobody GET /api/tags', 'unauthenticated users.nobody: no such user'],
    ['Mia GET /api/tags', 'unauthenticated users.Mia: no such user'],
  ];
  for (const [question, expected] of known) assert.equal(decider(question), expected, question);
});

test('who is switched off or has run out is let in nowhere', () => {
  const disabled = changeUser(users, 'olga', { disabled: true });
  assert.equal(decider('olga GET /api/tags', disabled), 'unauthenticated users.olga.disabled: true');
  const expiresAt = '2026-06-01T00:00:00.000Z';
  const expired = changeUser(users, 'olga', { expiresAt });
  assert.equal(decider('olga GET /api/tags', expired), `unauthenticated users.olga.expiresAt: ${expiresAt}`);
  assert.equal(decider('olga GET /api/tags'), 'yes roles.owner.can: read, infer, manage');
});

test('every rule that was asked is told in order, and what the request will be held to', () => {
  assert.deepEqual(ask('max POST /api/chat mistral'), {
    allowed: true,
    rules: [
      { place: 'users.max.role', says: 'member' },
      { place: 'routes', says: 'POST /api/chat needs infer' },
      { place: 'roles.member.can', says: 'read, infer' },
      { place: 'roles.member.models.deny', says: '*:70b' },
      { place: 'users.max.models.deny', says: '*q4' },
      { place: 'roles.member.clamps.keepAlive', says: 'min 1m, max 1h' },
      { place: 'roles.member.clamps.contextTokens', says: '8192' },
      { place: 'roles.member.clamps.options', says: 'temperature, top_p' },
      { place: 'roles.member.clamps.images', says: '0' },
      { place: 'users.max.limits.requestsPerMinute', says: '60' },
      { place: 'roles.member.limits.tokensPerDay', says: '1000' },
      { place: 'roles.member.limitsPerKey.concurrentRequests', says: '2' },
      { place: 'roles.member.priority', says: '-5' },
      { place: 'roles.member.weight', says: '3' },
      { place: 'users.max.models.allow', says: 'mistral' },
    ],
  });
  assert.deepEqual(ask('max POST /api/chat x:70b'), {
    allowed: false,
    refusal: 'model-not-permitted',
    rules: [
      { place: 'users.max.role', says: 'member' },
      { place: 'routes', says: 'POST /api/chat needs infer' },
      { place: 'roles.member.can', says: 'read, infer' },
      { place: 'roles.member.models.deny', says: '*:70b' },
    ],
  });
});

test('without a model the rules on models are told', () => {
  const rules = (question: string) => ask(question).rules.map(({ place, says }) => `${place}: ${says}`);
  const held = rules('mia POST /api/chat');
  assert.deepEqual(held.slice(3, 5), ['roles.member.models.deny: *:70b', 'roles.member.cloud: false']);
  assert.equal(held.at(-1), 'roles.member.models.allow: llama3*, qwen*');
  assert.ok(ask('mia POST /api/chat').allowed);
  assert.deepEqual(rules('adam POST /api/pull').slice(3), [
    'roles.admin.cloud: false',
    'roles.admin.registries: registry.ollama.ai',
    'roles.admin.models.allow: *',
  ]);
});

test('an explanation says what the guard decides, for anybody, any route and any model', () => {
  const paths = routes.map(({ path }) => (typeof path === 'string' ? path : '/v1/models/qwen3'));
  const models = ['qwen3', 'LLAMA3.2', 'llama3:70b', 'mistral', 'x:cloud', 'x:cloud:local', '', 'hf.co/a/b', 'x:local'];
  let allowed = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...users),
      fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE', 'PUT'),
      fc.constantFrom(...paths, '/api/none', '/'),
      fc.constantFrom(...models),
      (user, method, path, model) => {
        const access = accessOf(policy, user);
        const decision = decideRoute(access.can, method, path);
        const explained = explain(policy, users, { user: user.name, method, path, model, now });
        const expected = (): string | undefined => {
          if ('refusal' in decision) return decision.refusal;
          const { route } = decision;
          const facts = factsOf({ model, source: model, destination: model });
          const verdict =
            route.names === 'path'
              ? judgePath(access, path, () => false)
              : judgeBody(access, route, facts, () => false).verdict;
          return verdict.allowed ? undefined : verdict.refusal;
        };
        assert.equal(explained.refusal, expected(), `${user.name} ${method} ${path} ${model}`);
        if (explained.allowed) allowed += 1;
      },
    ),
    { numRuns: 3_000 },
  );
  assert.ok(allowed > 50, `${allowed} were allowed`);
});
