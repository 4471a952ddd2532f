import { ask, askWithForm, field, file } from './asks.ts';
import { type Person, team } from './people.ts';
import type { RawRequest } from './rawClient.ts';

/** A request with a body, by somebody who may make it. */
export interface WithBody extends RawRequest {
  readonly person: Person;
  readonly path: string;
  readonly body: string;
}

/** Where an upload of any length goes; nothing of it is read on its way. */
export const blobPath = `/api/blobs/sha256:${'0'.repeat(64)}`;

/**
 * The ways by which a body gets to Ollama: read to its end, checked and sent by the guard, or flowing by unread. Most
 * failures of http-proxy look different on them.
 */
export const bodies: Readonly<Record<'JSON' | 'a form' | 'an upload', WithBody>> = {
  JSON: by(team.mia, ask(team.mia, '/api/generate', { model: 'demo' })),
  'a form': by(team.mia, askWithForm(team.mia, [file('file', 'RIFF'), field('model', 'demo')])),
  'an upload': by(team.adam, ask(team.adam, blobPath, 'GGUF')),
};

function by(person: Person, { path = '', body = '', ...request }: RawRequest): WithBody {
  return { ...request, person, path, body: body.toString() };
}

/** A body as its client sent it: the guard writes a form anew, with a boundary of its own. */
export function asSent(received: string): string {
  return received.replaceAll(/ollama-guard-[0-9a-f]{32}/g, 'a-boundary-of-the-client');
}
