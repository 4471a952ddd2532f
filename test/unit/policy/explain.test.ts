import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { changeUser } from '../../../src/guard/identity/users.ts';
import { explain } from '../../../src/guard/policy/explain.ts';
import { judgeBody, judgePath } from '../../../src/guard/policy/models.ts';
import { accessOf, decideRoute, resolvePolicy } from '../../../src/guard/policy/policy.ts';
import type { Clamps } from '../../../src/guard/policy/policyDocument.ts';
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
    none: { models: { allow: [] } },
    barred: { models: { deny: ['x', '*'] } },
    shut: { can: ['read', 'manage'], registries: [] },
  },
});

const roles = {
  vera: 'viewer',
  mia: 'member',
  adam: 'admin',
  olga: 'owner',
  bob: 'bots',
  max: 'member',
  nob: 'none',
  bea: 'barred',
  sue: 'shut',
};
const team = Object.entries(roles).reduce((users, [name, role]) => withPerson(users, name, role).users, [] as Users);
type Users = Parameters<typeof explain>[1];
const users = [
  { name: 'max', change: { models: { allow: ['mistral'], deny: ['*q4'] }, limits: { requestsPerMinute: 60 } } },
  { name: 'olga', change: { expiresAt: '2026-06-01T00:00:00.001Z' } },
].reduce((all, { name, change }) => changeUser(all, name, change), team);

const ask = (question: string, among = users, role?: string) => {
  const [user = '', method = '', path = '', model] = question.split(' ');
  const named = { ...(model !== undefined && { model }), ...(role !== undefined && { role }) };
  return explain(policy, among, { user, method, path, now, ...named });
};

/** The rule that decided, and the refusal in front of it. */
const decider = (question: string, among = users, role?: string): string => {
  const { allowed, refusal, rules } = ask(question, among, role);
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
    ['adam POST /api/pull', 'yes roles.admin.registries: registry.ollama.ai'],
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
    ['nob POST /api/chat', 'model-not-permitted roles.none.models.allow: none'],
    ['nob GET /api/tags', 'yes roles.none.can: read, infer'],
    ['bea POST /api/chat', 'model-not-permitted roles.barred.models.deny: *'],
    ['sue POST /api/pull', 'registry-not-permitted roles.shut.registries: none'],
    ['sue POST /api/create', 'yes roles.shut.models.allow: *'],
    ['sue DELETE /api/delete', 'yes roles.shut.models.allow: *'],
  ];
  for (const [question, expected] of known) assert.equal(decider(question), expected, question);
});

test('what the guard answers itself is explained as it does', () => {
  const known: readonly (readonly [question: string, decider: string])[] = [
    ['nobody HEAD /', 'yes routes: HEAD / is answered to everyone'],
    ['mia HEAD /', 'yes routes: HEAD / is answered to everyone'],
    ['vera GET /', 'yes roles.viewer.can: read'],
    ['nobody GET /_guard/health', 'yes routes: GET /_guard/health is answered to everyone'],
    ['bob HEAD /_guard/health', 'yes routes: HEAD /_guard/health is answered to everyone'],
    ['adam POST /_guard/health', 'not-found routes: no /_guard/health'],
    ['nobody GET /_guard/queue', 'unauthenticated users.nobody: no such user'],
    ['vera GET /_guard/queue', 'yes routes: GET /_guard/queue is answered to every user'],
    ['bob HEAD /_guard/queue', 'yes routes: HEAD /_guard/queue is answered to every user'],
    ['olga DELETE /_guard/queue', 'method-not-allowed routes: /_guard/queue takes GET, HEAD'],
    ['adam GET /_guard/none', 'not-found routes: no /_guard/none'],
    ['nobody GET /_guard/join', 'yes routes: GET /_guard/join is answered to everyone'],
    ['nobody POST /_guard/join', 'yes routes: POST /_guard/join is answered to everyone'],
    ['olga POST /_guard/join.js', 'method-not-allowed routes: /_guard/join.js takes GET, HEAD'],
  ];
  for (const [question, expected] of known) assert.equal(decider(question), expected, question);
  const disabled = changeUser(users, 'vera', { disabled: true });
  assert.equal(decider('vera GET /_guard/queue', disabled), 'unauthenticated users.vera.disabled: true');
});

test('whoever signs in by token is no user, and is explained by the role that the token gives', () => {
  assert.equal(decider('tom POST /api/chat qwen3', users, 'member'), 'yes roles.member.models.allow: qwen*');
  assert.equal(decider('tom POST /api/pull qwen3', users, 'member'), 'not-permitted roles.member.can: read, infer');
  assert.equal(decider('tom GET /api/tags', users, 'gone'), 'not-permitted roles.gone: no such role');
  assert.deepEqual(ask('tom GET /api/tags', users, 'admin').rules[0], { place: 'tokens.tom.role', says: 'admin' });
  // A user of the same name lends a token nothing, and can bar it.
  const { rules } = ask('max POST /api/chat qwen3', users, 'member');
  assert.deepEqual(rules.at(-1), { place: 'roles.member.models.allow', says: 'qwen*' });
  assert.deepEqual(rules[5], { place: 'roles.member.clamps.contextTokens', says: '8192' });
  assert.ok(rules.every(({ place }) => !place.startsWith('users.')));
  const disabled = changeUser(users, 'max', { disabled: true });
  assert.equal(decider('Max GET /api/tags', disabled, 'member'), 'unauthenticated users.max.disabled: true');
});

test('SEC-10: an upload is held to its clamp, and to nothing that a request to a model is', () => {
  const heldTo = (method: string) => ask(`adam ${method} /api/blobs/sha256:${'0'.repeat(64)}`).rules.slice(2, -1);
  assert.deepEqual(heldTo('POST'), [{ place: 'roles.admin.clamps.uploadBytes', says: '68719476736' }]);
  assert.deepEqual(heldTo('HEAD'), []);
});

test('a request is held to those clamps that act on it', () => {
  const clamps: Clamps = { contextTokens: 8_192, outputTokens: 100, options: ['stop'], images: 0, imageBytes: 9 };
  const policy = resolvePolicy({ roles: { member: { clamps } } });
  const heldTo = (path: string) => {
    const { rules } = explain(policy, users, { user: 'mia', method: 'POST', path, model: 'x', now });
    return rules.flatMap(({ place }) => /(?<=clamps\.).*/.exec(place) ?? []).sort();
  };
  const all = ['contextTokens', 'imageBytes', 'images', 'keepAlive', 'options', 'outputTokens'];
  assert.deepEqual(heldTo('/api/chat'), all);
  assert.deepEqual(heldTo('/api/embed'), all.slice(0, -1));
  assert.deepEqual(heldTo('/v1/audio/transcriptions'), ['imageBytes', 'images']);
});

test('a model that is made is held to what its parameters may ask for', () => {
  const clamps: Clamps = { contextTokens: 8_192, outputTokens: 100, options: ['stop'], images: 0, excess: 'clamp' };
  const makers = resolvePolicy({ roles: { admin: { clamps } } });
  const { rules } = explain(makers, users, { user: 'adam', method: 'POST', path: '/api/create', model: 'x', now });
  assert.deepEqual(
    rules.map(({ place, says }) => `${place}: ${says}`),
    [
      'users.adam.role: admin',
      'routes: POST /api/create needs manage',
      'roles.admin.can: read, infer, manage',
      'roles.admin.clamps.contextTokens: 8192',
      'roles.admin.clamps.outputTokens: 100',
      'roles.admin.clamps.options: stop',
      'roles.admin.registries: registry.ollama.ai (for a model in from)',
      'roles.admin.models.allow: *',
    ],
  );
});

test('a model that is made is told where the one in from may come from, whether it is named or not', () => {
  const registries = ['registry.ollama.ai', 'hf.co'];
  const makers = resolvePolicy({ roles: { admin: { registries }, owner: { registries: [] } } });
  const told = (user: string, path: string, model: string | undefined) => {
    const { rules } = explain(makers, users, { user, method: 'POST', path, ...(model && { model }), now });
    return rules.filter(({ place }) => place.endsWith('.registries')).map(({ says }) => says);
  };
  for (const model of ['x', undefined]) {
    assert.deepEqual(told('adam', '/api/create', model), ['registry.ollama.ai, hf.co (for a model in from)']);
    assert.deepEqual(told('olga', '/api/create', model), ['none (for a model in from)']);
    assert.deepEqual(told('adam', '/api/copy', model), []);
    assert.deepEqual(told('adam', '/api/chat', model), []);
  }
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
    'roles.admin.models.allow: *',
    'roles.admin.registries: registry.ollama.ai',
  ]);
});

test('without a model it is a no where none can be used', () => {
  const rules: readonly (readonly [allow: string[], deny: string[], decider: string])[] = [
    [['*'], ['*:*'], 'model-not-permitted roles.r.models.deny: *:*'],
    [['*'], ['x', '**'], 'model-not-permitted roles.r.models.deny: **'],
    [['x'], ['X'], 'model-not-permitted roles.r.models.deny: X'],
    [['x', 'y:7b'], ['x*', 'y'], 'model-not-permitted roles.r.models.deny: x*, y'],
    [['*:cloud', 'x:7b-cloud'], [], 'cloud-not-permitted roles.r.cloud: false'],
    [['x'], ['x:7b'], 'yes roles.r.models.allow: x'],
    [['*'], ['?'], 'yes roles.r.models.allow: *'],
    [['x*'], ['xy*'], 'yes roles.r.models.allow: x*'],
    [['x', '*:cloud'], ['y'], 'yes roles.r.models.allow: x, *:cloud'],
  ];
  const { users: one } = withPerson([], 'ann', 'r');
  for (const [allow, deny, expected] of rules) {
    const asked = { user: 'ann', method: 'POST', path: '/api/chat', now };
    const {
      allowed,
      refusal,
      rules: told,
    } = explain(resolvePolicy({ roles: { r: { models: { allow, deny } } } }), one, asked);
    const { place, says } = told.at(-1) ?? { place: '', says: '' };
    assert.equal(`${allowed ? 'yes' : refusal} ${place}: ${says}`, expected);
  }
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
          if (method === 'HEAD' && path === '/') return undefined;
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
