import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RefusalCode } from '../answers.ts';
import { continueIfExpected } from '../entry/body.ts';
import type { BodyHold } from './budget.ts';

/** How large a body may be, in bytes, and what it is held in. */
export interface ReceiveLimits {
  readonly maxBytes: number;
  readonly hold: BodyHold;
}

/** `gone`: the client left before the end. */
export type Received = 'whole' | 'gone' | { readonly refusal: RefusalCode };

/**
 * Takes a body off the wire. After a refusal nothing more of it is read: `refuse` throws the rest away.
 *
 * @param onChunk says why the body cannot be taken, as soon as that is clear.
 */
export function receive(
  req: IncomingMessage,
  res: ServerResponse,
  { maxBytes, hold }: ReceiveLimits,
  onChunk: (chunk: Buffer) => RefusalCode | undefined,
): Promise<Received> {
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) return Promise.resolve({ refusal: 'body-too-large' });
  if (req.destroyed) return Promise.resolve('gone');
  return new Promise((resolve) => {
    let bytes = 0;
    const settle = (received: Received) => {
      req.off('data', take).off('end', end).off('close', leave);
      resolve(received);
    };
    const take = (chunk: Buffer) => {
      bytes += chunk.length;
      const refusal =
        bytes > maxBytes ? 'body-too-large' : hold.take(chunk.length) ? onChunk(chunk) : 'too-many-bodies';
      if (refusal === undefined) return;
      req.pause();
      settle({ refusal });
    };
    const end = () => settle('whole');
    const leave = () => settle('gone');
    continueIfExpected(req, res);
    req.on('data', take).once('end', end).once('close', leave);
  });
}
