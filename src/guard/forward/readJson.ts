import type { IncomingMessage } from 'node:http';
import { MiB } from '../config.ts';

/** A list of models takes some 400 bytes a model; this is far above any. */
export const maxListBytes = 8 * MiB;

/** The bytes of a body. Rejects when there are more than `maxBytes` or it breaks off. */
export async function readBytes(res: IncomingMessage, maxBytes = MiB): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of res) {
    size += chunk.length;
    if (size > maxBytes) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The JSON value in a body; undefined when there is none. Rejects when it is over one MiB or breaks off. */
export async function readJson(res: IncomingMessage): Promise<unknown> {
  const bytes = await readBytes(res);
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
