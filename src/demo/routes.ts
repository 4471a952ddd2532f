import { messages } from './anthropic.ts';
import { type Call, type Handler, sendJson } from './call.ts';
import { copy, create, headBlob, pull, push, putBlob, remove } from './library.ts';
import { chat, embed, embeddings, generate, me, ps, root, show, status, tags, version } from './native.ts';
import * as openai from './openai.ts';
import { Refusal } from './refusal.ts';
import { responses } from './responses.ts';

/** One entry of the surface. A last segment `:` stands for any one segment. */
export interface Route {
  readonly methods: readonly string[];
  readonly path: string;
  readonly handle: Handler;
}

const GET = ['GET'];
const GET_HEAD = ['GET', 'HEAD'];
const POST = ['POST'];

/** The whole HTTP surface of Ollama. What acts on an account or goes out to ollama.com is refused as offline. */
export const ROUTES: readonly Route[] = [
  { methods: GET_HEAD, path: '/', handle: root },
  { methods: GET_HEAD, path: '/api/version', handle: version },
  { methods: GET, path: '/api/status', handle: status },
  { methods: GET_HEAD, path: '/api/tags', handle: tags },
  { methods: GET, path: '/api/ps', handle: ps },
  { methods: POST, path: '/api/show', handle: show },

  { methods: POST, path: '/api/generate', handle: generate },
  { methods: POST, path: '/api/chat', handle: chat },
  { methods: POST, path: '/api/embed', handle: embed },
  { methods: POST, path: '/api/embeddings', handle: embeddings },

  { methods: POST, path: '/v1/chat/completions', handle: openai.chatCompletions },
  { methods: POST, path: '/v1/completions', handle: openai.completions },
  { methods: POST, path: '/v1/embeddings', handle: openai.embeddings },
  { methods: GET, path: '/v1/models', handle: openai.models },
  { methods: GET, path: '/v1/models/:', handle: openai.model },
  { methods: POST, path: '/v1/audio/transcriptions', handle: openai.transcriptions },
  { methods: POST, path: '/v1/responses', handle: responses },
  { methods: POST, path: '/v1/messages', handle: messages },

  { methods: POST, path: '/api/pull', handle: pull },
  { methods: POST, path: '/api/push', handle: push },
  { methods: POST, path: '/api/create', handle: create },
  { methods: POST, path: '/api/copy', handle: copy },
  { methods: ['DELETE'], path: '/api/delete', handle: remove },
  { methods: ['HEAD'], path: '/api/blobs/:', handle: headBlob },
  { methods: POST, path: '/api/blobs/:', handle: putBlob },

  { methods: POST, path: '/api/me', handle: me },
  { methods: POST, path: '/api/signout', handle: refuse(401, 'you are not currently signed in') },
  { methods: ['DELETE'], path: '/api/user/keys/:', handle: refuse(401, 'you are not currently signed in') },
  {
    methods: POST,
    path: '/api/experimental/web_search',
    handle: refuse(403, 'ollama cloud is disabled: web search is unavailable'),
  },
  {
    methods: POST,
    path: '/api/experimental/web_fetch',
    handle: refuse(403, 'ollama cloud is disabled: web fetch is unavailable'),
  },
  { methods: GET, path: '/api/experimental/model-recommendations', handle: recommendations },
];

/** What a path leads to: handlers by method, and the value of its variable segment. */
export interface Match {
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly param: string;
}

const TABLE: ReadonlyMap<string, Map<string, Handler>> = tableOf(ROUTES);

/** Finds a decoded path in the surface. */
export function matchPath(path: string): Match | undefined {
  const exact = TABLE.get(path);
  if (exact !== undefined) return { handlers: exact, param: '' };
  const cut = path.lastIndexOf('/') + 1;
  const handlers = TABLE.get(`${path.slice(0, cut)}:`);
  return handlers === undefined || cut === path.length ? undefined : { handlers, param: path.slice(cut) };
}

function tableOf(routes: readonly Route[]): Map<string, Map<string, Handler>> {
  const table = new Map<string, Map<string, Handler>>();
  for (const { path, methods, handle } of routes) {
    const handlers = table.get(path) ?? new Map<string, Handler>();
    for (const method of methods) handlers.set(method, handle);
    table.set(path, handlers);
  }
  return table;
}

function refuse(status: number, message: string): Handler {
  return () => {
    throw new Refusal(status, message);
  };
}

function recommendations({ res }: Call): void {
  sendJson(res, { recommendations: [] });
}
