import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RefusalCode } from '../answers.ts';
import type { CheckedBody } from './facts.ts';
import { JsonReader } from './jsonReader.ts';
import { Pieces } from './pieces.ts';
import { type ReceiveLimits, receive } from './receive.ts';

/** A body that may be sent, or why it may not; undefined when the client left before its end. */
export type ReadBody = CheckedBody | { readonly refusal: RefusalCode } | undefined;

/** Reads a JSON body to its end and checks it meanwhile: a refusal comes as early as there is a reason for it. */
export async function readBody(req: IncomingMessage, res: ServerResponse, limits: ReceiveLimits): Promise<ReadBody> {
  const reader = new JsonReader();
  const pieces = new Pieces();
  const received = await receive(req, res, limits, (chunk) => {
    pieces.add(chunk);
    reader.write(chunk);
    return reader.refusal;
  });
  if (received === 'gone') return undefined;
  if (received !== 'whole') return received;
  const read = reader.end();
  return 'refusal' in read ? read : { parts: pieces.parts(), length: pieces.length, facts: read.facts };
}
