import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { json } from 'node:stream/consumers';
import * as z from 'zod/mini';

/**
 * Whether Ollama answers at an address.
 *
 * @param timeoutMs for the whole probe.
 */
export function upstreamAnswers(upstream: string, timeoutMs: number): Promise<boolean> {
  const url = new URL('/api/version', upstream);
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const req = request(url, { agent: false, signal: AbortSignal.timeout(timeoutMs) }, (res) => {
      res.resume();
      resolve(res.statusCode === 200);
    });
    req.on('error', () => resolve(false));
    req.end();
  });
}

const tags = z.object({ models: z.array(z.object({ name: z.string() })) });

/**
 * The names of Ollama's models, in its own order: the latest first. None when it does not answer.
 *
 * @param timeoutMs for the whole question.
 */
export async function modelNames(upstream: string, timeoutMs: number): Promise<readonly string[]> {
  const url = new URL('/api/tags', upstream);
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  request(url, { agent: false, signal: AbortSignal.timeout(timeoutMs) }, (res) => json(res).then(resolve, reject))
    .on('error', reject)
    .end();
  const answer = tags.safeParse(await promise.catch(() => undefined));
  return answer.success ? answer.data.models.map(({ name }) => name) : [];
}
