/**
 * Ollama's HTTP surface, as data: https://github.com/ollama/ollama, `GenerateRoutes()` in server/routes.go at fb30760
 * (v0.33.0-rc2). What is not in this table is never forwarded. Read `GenerateRoutes()` again before a row is added.
 */

/** What a route lets its caller do; roles are sets of these (policy/policy.ts). */
export type Capability = 'read' | 'infer' | 'manage';

/** Whose error shape a caller of this path expects. */
export type Dialect = 'ollama' | 'openai' | 'anthropic';

/** `none`: no body is taken; `limited`: up to the configured size; `blob`: raw upload of any size. */
export type BodyKind = 'none' | 'limited' | 'blob';

/** One method on one path. */
export interface Route {
  readonly method: string;
  /** A literal path, or one whose last segment is a variable of exactly this pattern. */
  readonly path: string | RegExp;
  /** `denied`: acts on the owner's ollama.com account or spends it; nobody may (SEC-78). */
  readonly needs: Capability | 'denied';
  readonly body: BodyKind;
}

const digest = /^\/api\/blobs\/sha256[:-][0-9a-f]{64}$/;
const model = /^\/v1\/models\/[A-Za-z0-9][A-Za-z0-9._:-]{0,254}$/;
const userKey = /^\/api\/user\/keys\/[A-Za-z0-9+=_-]{1,512}$/;

const rows: readonly (readonly [methods: string, path: string | RegExp, needs: Route['needs'], body: BodyKind])[] = [
  ['GET', '/', 'read', 'none'],
  ['GET HEAD', '/api/version', 'read', 'none'],
  ['GET', '/api/status', 'read', 'none'],
  ['GET HEAD', '/api/tags', 'read', 'none'],
  ['GET', '/api/ps', 'read', 'none'],
  ['POST', '/api/show', 'read', 'limited'],
  ['GET', '/v1/models', 'read', 'none'],
  ['GET', model, 'read', 'none'],
  ['GET', '/api/experimental/model-recommendations', 'read', 'none'],

  ['POST', '/api/generate', 'infer', 'limited'],
  ['POST', '/api/chat', 'infer', 'limited'],
  ['POST', '/api/embed', 'infer', 'limited'],
  ['POST', '/api/embeddings', 'infer', 'limited'],
  ['POST', '/v1/chat/completions', 'infer', 'limited'],
  ['POST', '/v1/completions', 'infer', 'limited'],
  ['POST', '/v1/embeddings', 'infer', 'limited'],
  ['POST', '/v1/responses', 'infer', 'limited'],
  ['POST', '/v1/messages', 'infer', 'limited'],
  ['POST', '/v1/audio/transcriptions', 'infer', 'limited'],

  ['POST', '/api/pull', 'manage', 'limited'],
  ['POST', '/api/push', 'manage', 'limited'],
  ['POST', '/api/create', 'manage', 'limited'],
  ['POST', '/api/copy', 'manage', 'limited'],
  ['DELETE', '/api/delete', 'manage', 'limited'],
  ['HEAD', digest, 'manage', 'none'],
  ['POST', digest, 'manage', 'blob'],

  ['POST', '/api/me', 'denied', 'none'],
  ['POST', '/api/signout', 'denied', 'none'],
  ['DELETE', userKey, 'denied', 'none'],
  ['POST', '/api/experimental/web_search', 'denied', 'none'],
  ['POST', '/api/experimental/web_fetch', 'denied', 'none'],
];

/** Every route, one entry a method. */
export const routes: readonly Route[] = rows.flatMap(([methods, path, needs, body]) =>
  methods.split(' ').map((method) => ({ method, path, needs, body })),
);

const literal = new Map<string, Route[]>();
const patterns: { readonly path: RegExp; readonly route: Route }[] = [];
for (const route of routes) {
  if (typeof route.path === 'string') literal.set(route.path, [...(literal.get(route.path) ?? []), route]);
  else patterns.push({ path: route.path, route });
}

/** The routes of a canonical path, one a method; empty when the path is not on the surface. */
export function routesOf(path: string): readonly Route[] {
  return literal.get(path) ?? patterns.filter((pattern) => pattern.path.test(path)).map(({ route }) => route);
}

/** Whose error shape a caller of this path expects. */
export function dialectOf(path: string): Dialect {
  if (path === '/v1/messages' || path.startsWith('/v1/messages/')) return 'anthropic';
  return path.startsWith('/v1/') ? 'openai' : 'ollama';
}
