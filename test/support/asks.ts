import type { Route } from '../../src/guard/routes.ts';
import type { Person } from './people.ts';
import type { RawRequest } from './rawClient.ts';

/** A request of somebody with a JSON body; a text is sent as it is. */
export function ask(person: Person, path: string, body: unknown, method = 'POST'): RawRequest {
  const headers = { authorization: person.bearer, 'content-type': 'application/json' };
  return { method, path, headers, body: typeof body === 'string' ? body : JSON.stringify(body) };
}

/** A request of somebody without a body. */
export function get(person: Person, path: string, method = 'GET'): RawRequest {
  return { method, path, headers: { authorization: person.bearer } };
}

/** One part of a form, as it stands on the wire. */
export interface FormPart {
  /** Lines without their ends. */
  readonly headers: readonly string[];
  readonly content: string;
}

/** A field of a form. */
export function field(name: string, content: string): FormPart {
  return { headers: [`Content-Disposition: form-data; name="${name}"`], content };
}

/** A file in a form. */
export function file(name: string, content: string, fileName = 'speech.wav'): FormPart {
  const disposition = `Content-Disposition: form-data; name="${name}"; filename="${fileName}"`;
  return { headers: [disposition, 'Content-Type: audio/wav'], content };
}

const boundary = 'a-boundary-of-the-client';

/** A form as clients write it. */
export function formBody(parts: readonly FormPart[]): string {
  const written = parts.map(({ headers, content }) => `--${boundary}\r\n${headers.join('\r\n')}\r\n\r\n${content}\r\n`);
  return `${written.join('')}--${boundary}--\r\n`;
}

/** A request of somebody with a form. */
export function askWithForm(
  person: Person,
  parts: readonly FormPart[],
  {
    path = '/v1/audio/transcriptions',
    type = `multipart/form-data; boundary=${boundary}`,
    body = formBody(parts),
  } = {},
): RawRequest {
  return { method: 'POST', path, headers: { authorization: person.bearer, 'content-type': type }, body };
}

const digest = '0'.repeat(64);

/** A path of a route; the variable segment of one that names a model is that model. */
export function pathOf({ path, names }: Route, model = 'llama3.2'): string {
  if (typeof path === 'string') return path;
  if (names === 'path') return `/v1/models/${model}`;
  return path.test(`/api/blobs/sha256:${digest}`) ? `/api/blobs/sha256:${digest}` : '/api/user/keys/abc';
}

/**
 * Every request by which a route can name a model, each in one place; where it has to name another as well, that is
 * `other`.
 */
export function requestsNaming(person: Person, route: Route, model: string, other: string): readonly RawRequest[] {
  const path = pathOf(route, model);
  if (route.names === 'path') return [get(person, path, route.method)];
  if (route.body === 'form') return [askWithForm(person, [file('file', 'RIFF'), field('model', model)], { path })];
  return bodiesNaming(route, model, other).map((body) => ask(person, path, { ...rest(path), ...body }, route.method));
}

function bodiesNaming({ names }: Route, model: string, other: string): readonly Readonly<Record<string, string>>[] {
  switch (names) {
    case 'model':
      return [{ model }];
    case 'model-or-name':
      return [{ model }, { name: model }, { model: '', name: model }];
    case 'create':
      return [
        { model, from: other },
        { name: model, from: other },
        { model: other, from: model },
      ];
    case 'copy':
      return [
        { source: model, destination: other },
        { source: other, destination: model },
      ];
    default:
      return [];
  }
}

/** What a request needs beside the model to be answered. */
function rest(path: string): Readonly<Record<string, unknown>> {
  if (path === '/v1/messages') return { max_tokens: 3, messages: [{ role: 'user', content: 'hi' }] };
  if (/chat/.test(path)) return { stream: false, messages: [{ role: 'user', content: 'hi' }] };
  if (/generate|completions/.test(path)) return { stream: false, prompt: 'hi' };
  if (/embed|responses/.test(path)) return { input: 'hi' };
  return {};
}
