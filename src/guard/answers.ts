import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Dialect, dialectOf } from './routes.ts';
import { counted } from './share/counted.ts';

/**
 * Every refusal the guard gives, as data: status and words. A caller who is not known yet gets words that are the same
 * whatever was wrong with the credential (SEC-48).
 */
const refusals = {
  'bad-request': [400, 'This request is malformed.'],
  'bad-target': [400, 'This path is not written in its plain form.'],
  'plain-http': [400, 'This endpoint is encrypted. Write https:// in place of http://.'],
  'bad-body': [400, 'The body is not what this path takes.'],
  'bad-json': [400, 'The body is not one JSON object, or is nested too deeply.'],
  'ambiguous-json': [400, 'The body has a key twice, or one that differs from a known key in letter case alone.'],
  'bad-field': [400, 'A field of the body has a type that this path does not take.'],
  'no-model': [400, 'The body names no model, or two different ones.'],
  'bad-model': [400, 'This is not the name of a model.'],
  'unexpected-body': [400, 'This method and path take no body.'],
  unauthenticated: [401, 'Sign in with a user name and password, or with an API key as a Bearer token.'],
  // 403, because the ollama command line shows the words of any refusal but a 401.
  'not-signed': [
    403,
    'The ollama command signs in with OLLAMA_AUTH=1 in its environment, once the owner of this endpoint has your ~/.ollama/id_ed25519.pub, and while the clock of your computer is right.',
  ],
  'access-ended': [403, 'Your access to this endpoint has ended. Ask its owner for a new invite.'],
  'endpoint-unknown': [
    403,
    'What answers there is not the endpoint you joined, or its certificate has run out. Ask its owner for a new invite.',
  ],
  'foreign-host': [403, 'This host name is not configured here. Use the address the owner gave you.'],
  'foreign-origin': [403, 'Web pages of this origin may not use this endpoint. Its owner can allow the origin.'],
  'invite-refused': [403, 'This invite was used already, has run out or is not valid. Ask for a new one.'],
  'not-local': [
    403,
    'A joined endpoint is for programs on this computer. Call it by 127.0.0.1 or localhost, and from no web page.',
  ],
  'not-permitted': [403, 'Your role does not permit this. Ask the owner of this endpoint.'],
  'model-not-permitted': [403, 'You may not use this model here. Ask the owner of this endpoint.'],
  'cloud-not-permitted': [
    403,
    "This runs on ollama.com, on the owner's account, and your role does not permit it. Ask the owner of this endpoint.",
  ],
  'registry-not-permitted': [403, 'Models of this registry are not permitted here. Ask the owner of this endpoint.'],
  'insecure-not-permitted': [403, 'Pulling or pushing without encryption is not permitted here. Leave "insecure" out.'],
  'unload-not-permitted': [403, 'This model is shared, and your role does not permit unloading it.'],
  'over-clamp': [403, 'The request asks for more than your role permits.'],
  'signature-over-http': [403, 'Signed requests are taken over https alone, or on the computer of the endpoint.'],
  'not-shared': [403, 'This endpoint is not shared with you right now. Ask its owner.'],
  'owner-only': [403, "This acts on the owner's ollama.com account and is closed to everyone."],
  'not-found': [404, 'There is nothing at this path.'],
  'method-not-allowed': [405, 'This path does not take this method.'],
  'request-timeout': [408, 'The request did not arrive in time.'],
  'body-too-large': [413, 'The request body is larger than this endpoint accepts.'],
  'unsupported-encoding': [415, 'Send the body without a content encoding.'],
  'unsupported-type': [415, 'Send the body as application/json.'],
  'not-a-form': [415, 'Send the body as multipart/form-data.'],
  'headers-too-large': [431, 'The request headers are larger than 16 KiB.'],
  'too-many-failures': [429, 'Too many failed sign-ins. Wait, then try again with the right credential.'],
  'too-many-invites': [429, 'Too many wrong invites from this address. Wait, then open the link again.'],
  pipelined: [429, 'Too many requests at once on one connection.'],
  'too-many-requests': [429, 'You have made as many requests as you may for now. Wait, then try again.'],
  'too-many-at-once': [429, 'You have as many requests under way as you may. Wait for one to end.'],
  'too-many-tokens': [429, 'You have used the tokens that you may use for now. Wait, then try again.'],
  'tokens-held': [
    429,
    'Your requests under way may use all the tokens that are left to you. Wait for one to end, or bound the answer (max_tokens, num_predict).',
  ],
  'too-many-bodies': [429, 'This endpoint is reading as many requests as it can hold. Try again shortly.'],
  'queue-full': [429, 'Too many requests are waiting for this endpoint. Try again shortly.'],
  'too-busy': [429, 'Too many sign-ins are being checked right now. Try again shortly.'],
  'guard-failed': [500, 'The guard failed on this request. Its log says why.'],
  'endpoint-failed': [502, 'This endpoint broke off the connection before it answered.'],
  'upstream-failed': [502, 'Ollama broke off the connection before it answered.'],
  'endpoint-unreachable': [
    503,
    'The owner of this endpoint is not sharing right now, or this computer is not in the same network.',
  ],
  'upstream-down': [503, 'Ollama is not answering behind this guard. Ask its owner whether Ollama is running.'],
  'queue-timeout': [503, 'The request waited for its turn for too long. Try again.'],
  'sign-in-unavailable': [503, 'Tokens cannot be checked right now. Try again shortly.'],
  'invite-unavailable': [503, 'The invite could not be exchanged for a key and still works. Try again shortly.'],
  stopping: [503, 'This endpoint is being stopped.'],
  'upstream-timeout': [504, 'Ollama did not answer in time.'],
} as const satisfies Record<string, readonly [status: number, message: string]>;

/** Names a refusal; its status and words stand in one table. */
export type RefusalCode = keyof typeof refusals;

/** Headers every answer to a failed sign-in carries: RFC 7617. */
const challenge = 'Basic realm="Ollama Guard", charset="UTF-8"';

const openAiTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
};

const anthropicTypes: Readonly<Record<number, string>> = {
  ...openAiTypes,
  413: 'request_too_large',
  503: 'overloaded_error',
};

const fallbackType = (status: number): string => (status < 500 ? 'invalid_request_error' : 'api_error');

const shapes: Readonly<Record<Dialect, (status: number, code: RefusalCode, message: string) => unknown>> = {
  ollama: (_status, _code, message) => ({ error: message }),
  openai: (status, code, message) => ({
    error: { message, type: openAiTypes[status] ?? fallbackType(status), param: null, code },
  }),
  anthropic: (status, _code, message) => ({
    type: 'error',
    error: { type: anthropicTypes[status] ?? fallbackType(status), message },
  }),
};

/** The status of a refusal. */
export function refusalStatus(code: RefusalCode): number {
  return refusals[code][0];
}

/** The words of a refusal. */
export function refusalMessage(code: RefusalCode): string {
  return refusals[code][1];
}

/** The body of a refusal as JSON text, in the dialect of the path that was called (reference: Ollama's errors.mdx). */
export function refusalBody(
  code: RefusalCode,
  path: string,
  { limit, retryAfter = 0 }: Pick<RefusalDetails, 'limit' | 'retryAfter'> = {},
): string {
  const [status, message] = refusals[code];
  const again = retryAfter > patience ? ` There is more in ${roughly(retryAfter)}.` : '';
  const whole = limit === undefined ? message : `${message} The limit is ${limit}.${again}`;
  return JSON.stringify(shapes[dialectOf(path)](status, code, whole));
}

/** In seconds: who is to wait for longer is told in words, too. */
const patience = 60;

/** A time in words, rounded up. @param seconds more than a minute. */
function roughly(seconds: number): string {
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? counted(minutes, 'minute') : counted(Math.ceil(minutes / 60), 'hour');
}

/** What a refusal may carry beside its code. */
export interface RefusalDetails {
  /** What the caller was over, in words: `60 requests a minute`. */
  readonly limit?: string;
  /** Seconds until another try makes sense. */
  readonly retryAfter?: number;
  /** The methods this path does take, for a 405. */
  readonly allow?: string;
  /** Headers beside those, such as how much of a limit is left. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Close the connection after the answer, because what follows on it cannot be trusted. */
  readonly close?: boolean;
}

/** Why a request is not answered as it asked for. */
export interface Refusal {
  readonly refusal: RefusalCode;
  readonly details: RefusalDetails;
}

/**
 * What a caller is told. The ollama command line shows no words of a 401 (`checkError` in api/client.go): where it comes
 * without a scheme in `Authorization`, as it always does itself, and not behind a connector, it gets a refusal that it
 * shows. The User-Agent chooses the words, and never who gets in (SEC-27).
 */
function wordsFor({ headers }: IncomingMessage, code: RefusalCode): RefusalCode {
  const isCommandLine = /^ollama\//.test(headers['user-agent'] ?? '') && !headers.authorization?.includes(' ');
  return code === 'unauthenticated' && isCommandLine ? 'not-signed' : code;
}

/** In seconds: when a 429 may be over that does not say so. */
const shortly = 1;

/** The rest of a refused request is read and thrown away for this long, in milliseconds. */
const discardMs = 10_000;

/**
 * Answers with a refusal. Does nothing when an answer has begun: a half-sent 200 never gets an error text appended.
 *
 * @param path the path as far as it is known; it chooses the dialect.
 */
export function refuse(res: ServerResponse, code: RefusalCode, path: string, details: RefusalDetails = {}): void {
  if (res.headersSent || res.destroyed) return;
  const told = wordsFor(res.req, code);
  const body = refusalBody(told, path, details);
  res.statusCode = refusalStatus(told);
  res.setHeader('content-type', 'application/json; charset=utf-8');
  res.setHeader('content-length', Buffer.byteLength(body));
  res.setHeader('cache-control', 'no-store');
  if (res.statusCode === 401) res.setHeader('www-authenticate', challenge);
  const retryAfter = details.retryAfter ?? (res.statusCode === 429 ? shortly : undefined);
  if (retryAfter !== undefined) res.setHeader('retry-after', Math.max(1, Math.ceil(retryAfter)));
  if (details.allow !== undefined) res.setHeader('allow', details.allow);
  for (const [name, value] of Object.entries(details.headers ?? {})) res.setHeader(name, value);
  if (details.close) res.setHeader('connection', 'close');
  res.end(body);
  discardRest(res.req);
}

/**
 * Takes a body nobody wants off the wire for a while. A sender that writes all before it reads (Python's clients do)
 * would otherwise meet a closed connection and never see the refusal.
 */
export function discardRest(req: IncomingMessage): void {
  if (req.complete || req.destroyed) return;
  const cutOff = setTimeout(() => req.destroy(), discardMs).unref();
  req.once('close', () => clearTimeout(cutOff));
  req.unpipe();
  req.resume();
}
