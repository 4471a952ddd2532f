import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Refusal } from './answers.ts';
import { hasBody } from './entry/body.ts';
import { answerPreflight, isPreflight } from './entry/origin.ts';
import { type PublicAnswer, publicAnswer, queueMethods } from './ownPaths.ts';

/** What everyone is answered by the guard, signed in or not. */
type OwnAnswer = PublicAnswer | 'preflight';

/** The texts are public. */
const publicAnswers: Readonly<Record<PublicAnswer, { readonly type: string; readonly body: string }>> = {
  heartbeat: { type: 'text/plain; charset=utf-8', body: '' },
  health: { type: 'application/json; charset=utf-8', body: '{"status":"ok"}' },
};

const bodyless: Refusal = { refusal: 'unexpected-body', details: { close: true } };

/** Preflights, the CLI's heartbeat and the guard's own health; undefined for what is none of them. */
export function ownAnswer(req: IncomingMessage, path: string): OwnAnswer | undefined {
  return isPreflight(req) ? 'preflight' : publicAnswer(req.method ?? '', path);
}

/** Answers, or says why not. */
export function answerOwn(req: IncomingMessage, res: ServerResponse, own: OwnAnswer): Refusal | undefined {
  if (hasBody(req)) return bodyless;
  if (own === 'preflight') answerPreflight(req, res);
  else send(res, publicAnswers[own].type, publicAnswers[own].body);
  return undefined;
}

/** Answers with the queue, or says why not. @param view asked for when it is to be shown. */
export function answerQueue(req: IncomingMessage, res: ServerResponse, view: () => unknown): Refusal | undefined {
  if (!queueMethods.includes(req.method ?? '')) {
    return { refusal: 'method-not-allowed', details: { allow: queueMethods.join(', ') } };
  }
  if (hasBody(req)) return bodyless;
  send(res, 'application/json; charset=utf-8', JSON.stringify(view()));
  return undefined;
}

function send(res: ServerResponse, type: string, body: string): void {
  res.setHeader('content-type', type);
  res.setHeader('cache-control', 'no-store');
  res.setHeader('content-length', Buffer.byteLength(body));
  res.end(body);
}
