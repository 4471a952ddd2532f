import type { IncomingMessage } from 'node:http';
import { MiB } from '../config.ts';

/** A list of models takes some 400 bytes a model; this is far above any. */
export const maxListBytes = 4 * MiB;

/** The bytes of a body. Rejects when there are more than `maxBytes` or it breaks off. */
export function readBytes(res: IncomingMessage, maxBytes = MiB): Promise<Buffer> {
  // By events: an iterator would cost as much as the rest of a request.
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    res.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else res.destroy(new Error('the answer is too long'));
    });
    res.once('end', () => resolve(Buffer.concat(chunks)));
    res.once('error', reject);
    res.once('close', () => {
      if (!res.readableEnded) reject(new Error('the answer broke off'));
    });
  });
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
