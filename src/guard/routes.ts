/**
 * Ollama's HTTP surface, as data: https://github.com/ollama/ollama, `GenerateRoutes()` in server/routes.go at fb30760
 * (v0.33.0-rc2). What is not in this table is never forwarded. Read `GenerateRoutes()` again before a row is added.
 */

/** What a route lets its caller do; roles are sets of these (policy/policyDocument.ts). */
export type Capability = 'read' | 'infer' | 'manage';

/** Whose error shape a caller of this path expects. */
export type Dialect = 'ollama' | 'openai' | 'anthropic';

/** `none`: no body is taken; `json`, `form` (multipart): up to the configured size; `blob`: raw upload of any size. */
export type BodyKind = 'none' | 'json' | 'form' | 'blob';

/**
 * How a route names models: in the field `model`; in `model`, or by its old name `name`; a model and what it is made
 * `from`; `source` and `destination`; as the last segment of the path; or not at all.
 */
export type ModelNaming = 'model' | 'model-or-name' | 'create' | 'copy' | 'path' | 'none';

/** Where a model writes the answer, as a stream or whole. */
export type WritingPath =
  | '/api/generate'
  | '/api/chat'
  | '/v1/chat/completions'
  | '/v1/completions'
  | '/v1/responses'
  | '/v1/messages';

/** Where it answers with vectors. */
export const embeddingPaths = ['/api/embed', '/api/embeddings', '/v1/embeddings'] as const;
export type EmbeddingPath = (typeof embeddingPaths)[number];

/** Where it writes down what was said in a recording. */
export type TranscribingPath = '/v1/audio/transcriptions';

/** One method on one path. */
export interface Route {
  readonly method: string;
  /** A literal path, or one whose last segment is a variable of exactly this pattern. */
  readonly path: string | RegExp;
  /** `denied`: acts on the owner's ollama.com account or spends it; nobody may (SEC-78). */
  readonly needs: Capability | 'denied';
  readonly body: BodyKind;
  readonly names: ModelNaming;
  /** The member of the answer that is a list of models; undefined when the answer is none. */
  readonly lists?: 'models' | 'data';
}

const digest = /^\/api\/blobs\/sha256[:-][0-9a-f]{64}$/;
const model = /^\/v1\/models\/[A-Za-z0-9][A-Za-z0-9._:-]{0,254}$/;
const userKey = /^\/api\/user\/keys\/[A-Za-z0-9+=_-]{1,512}$/;

/** What lets a model work is one of a known kind: tables elsewhere have a row for each of its paths. */
type Row =
  | readonly [
      methods: 'POST',
      path: WritingPath | EmbeddingPath | TranscribingPath,
      needs: 'infer',
      body: 'json' | 'form',
      names: 'model',
    ]
  | readonly [
      methods: string,
      path: string | RegExp,
      needs: Exclude<Route['needs'], 'infer'>,
      body: BodyKind,
      names?: ModelNaming,
      lists?: Route['lists'],
    ];

const rows: readonly Row[] = [
  ['GET', '/', 'read', 'none'],
  ['GET HEAD', '/api/version', 'read', 'none'],
  ['GET', '/api/status', 'read', 'none'],
  ['GET HEAD', '/api/tags', 'read', 'none', 'none', 'models'],
  ['GET', '/api/ps', 'read', 'none', 'none', 'models'],
  ['POST', '/api/show', 'read', 'json', 'model-or-name'],
  ['GET', '/v1/models', 'read', 'none', 'none', 'data'],
  ['GET', model, 'read', 'none', 'path'],
  ['GET', '/api/experimental/model-recommendations', 'read', 'none'],

  ['POST', '/api/generate', 'infer', 'json', 'model'],
  ['POST', '/api/chat', 'infer', 'json', 'model'],
  ['POST', '/api/embed', 'infer', 'json', 'model'],
  ['POST', '/api/embeddings', 'infer', 'json', 'model'],
  ['POST', '/v1/chat/completions', 'infer', 'json', 'model'],
  ['POST', '/v1/completions', 'infer', 'json', 'model'],
  ['POST', '/v1/embeddings', 'infer', 'json', 'model'],
  ['POST', '/v1/responses', 'infer', 'json', 'model'],
  ['POST', '/v1/messages', 'infer', 'json', 'model'],
  ['POST', '/v1/audio/transcriptions', 'infer', 'form', 'model'],

  ['POST', '/api/pull', 'manage', 'json', 'model-or-name'],
  ['POST', '/api/push', 'manage', 'json', 'model-or-name'],
  ['POST', '/api/create', 'manage', 'json', 'create'],
  ['POST', '/api/copy', 'manage', 'json', 'copy'],
  ['DELETE', '/api/delete', 'manage', 'json', 'model-or-name'],
  ['HEAD', digest, 'manage', 'none'],
  ['POST', digest, 'manage', 'blob'],

  ['POST', '/api/me', 'denied', 'none'],
  ['POST', '/api/signout', 'denied', 'none'],
  ['DELETE', userKey, 'denied', 'none'],
  ['POST', '/api/experimental/web_search', 'denied', 'none'],
  ['POST', '/api/experimental/web_fetch', 'denied', 'none'],
];

/** Every route, one entry a method. */
export const routes: readonly Route[] = rows.flatMap(([methods, path, needs, body, names = 'none', lists]) =>
  methods.split(' ').map((method) => ({ method, path, needs, body, names, ...(lists && { lists }) })),
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
