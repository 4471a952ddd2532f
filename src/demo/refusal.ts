import { randomBytes } from 'node:crypto';

/** A request that Ollama would refuse: the HTTP status, and the words that go into the error body. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
  }
}

/** The three dialects that Ollama speaks; each has its own error body. */
export type Surface = 'native' | 'openai' | 'anthropic';

/** Which dialect a path belongs to. */
export function surfaceOf(path: string): Surface {
  if (path === '/v1/messages' || path.startsWith('/v1/messages/')) return 'anthropic';
  return path.startsWith('/v1/') ? 'openai' : 'native';
}

const OPENAI_TYPES: Readonly<Record<number, string>> = { 400: 'invalid_request_error', 404: 'not_found_error' };

const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  503: 'overloaded_error',
};

/** The error body of a dialect for a status and a message. */
export function errorBody(surface: Surface, status: number, message: string): object {
  switch (surface) {
    case 'openai':
      return { error: { message, type: OPENAI_TYPES[status] ?? 'api_error', param: null, code: null } };
    case 'anthropic':
      return {
        type: 'error',
        error: { type: ANTHROPIC_TYPES[status] ?? 'api_error', message },
        request_id: `req_${randomBytes(12).toString('hex')}`,
      };
    case 'native':
      return { error: message };
  }
}
