import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RefusalCode } from '../answers.ts';
import type { BodyKind } from '../routes.ts';

/** Whether a request carries a body: RFC 9112 §6.3. */
export function hasBody(req: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = req.headers;
  return encoding !== undefined || (length !== undefined && length !== '0');
}

/** What the headers alone say against this body, before a byte of it is read. */
export function bodyProblem(req: IncomingMessage, kind: BodyKind, maxBytes: number): RefusalCode | undefined {
  if (!hasBody(req)) return undefined;
  if (kind === 'none') return 'unexpected-body';
  return Number(req.headers['content-length'] ?? 0) > maxBytes ? 'body-too-large' : undefined;
}

/** Lets a client that asked first send its body. To one of HTTP/1.0 a 100 would be the answer: RFC 9110 §10.1.1. */
export function continueIfExpected(req: IncomingMessage, res: ServerResponse): void {
  if (req.headers.expect !== undefined && req.httpVersion === '1.1') res.writeContinue();
}

/**
 * Calls back once when a chunked body grows beyond the limit; one with a length was judged by its headers, and Node's
 * parser holds it to that length. Counts what flows by, so call it when the body's reader is attached.
 */
export function watchBodySize(req: IncomingMessage, maxBytes: number, onTooLarge: () => void): void {
  if (req.headers['transfer-encoding'] === undefined) return;
  let bytes = 0;
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBytes) return;
    req.off('data', count);
    onTooLarge();
  };
  req.on('data', count);
}
