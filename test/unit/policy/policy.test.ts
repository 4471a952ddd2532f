import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtInRoles, decideRoute, roleNames } from '../../../src/guard/policy/policy.ts';
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

function decided(role: string, method: string, path: string): string {
  const can = builtInRoles.find(({ name }) => name === role)?.can ?? [];
  const decision = decideRoute(can, method, path);
  return 'route' in decision ? 'yes' : decision.refusal;
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
