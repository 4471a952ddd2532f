import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod/mini';
import type { RefusalCode } from '../answers.ts';

/** A code is 36 characters; nothing else goes with it. */
const maxBytes = 1_024;

const body = z.strictObject({ code: z.string() });

/** What a request to exchange an invite brings; undefined when its client left. */
export type ReadCode = { readonly code: string } | { readonly refusal: RefusalCode } | undefined;

/**
 * Reads the code of an invite from a request's body, `{"code": "oi_…"}`. Its media type is one that a page elsewhere
 * cannot send without asking first (https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
 *
 * @param timeoutMs for the whole body, in milliseconds.
 */
export async function readCode(req: IncomingMessage, res: ServerResponse, timeoutMs: number): Promise<ReadCode> {
  if (!/^application\/json\s*(;|$)/i.test(req.headers['content-type'] ?? '')) return { refusal: 'unsupported-type' };
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) return { refusal: 'body-too-large' };
  if (req.headers.expect !== undefined && req.httpVersion === '1.1') res.writeContinue();
  const bytes = await readBytes(req, timeoutMs);
  if (!Buffer.isBuffer(bytes)) return bytes;
  const parsed = body.safeParse(parseJson(bytes.toString()));
  return parsed.success ? { code: parsed.data.code } : { refusal: 'bad-body' };
}

function readBytes(
  req: IncomingMessage,
  timeoutMs: number,
): Promise<Buffer | { readonly refusal: RefusalCode } | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve) => {
    const tooSlow = setTimeout(() => done({ refusal: 'request-timeout' }), timeoutMs);
    const take = (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > maxBytes) done({ refusal: 'body-too-large' });
    };
    const end = () => done(Buffer.concat(chunks));
    const left = () => done(undefined);
    const done = (result: Awaited<ReturnType<typeof readBytes>>) => {
      clearTimeout(tooSlow);
      req.off('data', take).off('end', end).off('close', left);
      resolve(result);
    };
    req.on('data', take).on('end', end).on('close', left);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
