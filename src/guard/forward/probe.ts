import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import * as z from 'zod/mini';
import type { ListedModel } from '../policy/lists.ts';
import { listedModels } from '../policy/remoteModels.ts';
import { maxListBytes, readBytes, readJson } from './readJson.ts';

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

/**
 * The models that Ollama lists, with whether they run elsewhere. Rejects when it does not answer, or with no list.
 *
 * @param timeoutMs for the whole question.
 */
export async function listModels(upstream: string, timeoutMs: number): Promise<readonly ListedModel[]> {
  return listedModels(await askTags(upstream, timeoutMs, (res) => readBytes(res, maxListBytes)));
}

/** Reads the answer of `GET /api/tags`. */
async function askTags<T>(upstream: string, timeoutMs: number, read: (res: IncomingMessage) => Promise<T>): Promise<T> {
  const url = new URL('/api/tags', upstream);
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  request(url, { agent: false, signal: AbortSignal.timeout(timeoutMs) }, (res) => read(res).then(resolve, reject))
    .on('error', reject)
    .end();
  return promise;
}

/**
 * What Ollama lets a model be called: https://github.com/ollama/ollama/blob/main/types/model/name.go. Names end up in
 * snippets that teammates paste, so one from something that only looks like Ollama is not taken.
 */
const modelName = /^\w[\w.:/@-]{0,255}$/;

const tags = z.object({ models: z.array(z.object({ name: z.string() })) });

/**
 * The names of Ollama's models, in its own order: the latest first. None when it does not answer.
 *
 * @param timeoutMs for the whole question.
 */
export async function modelNames(upstream: string, timeoutMs: number): Promise<readonly string[]> {
  const answer = tags.safeParse(await askTags(upstream, timeoutMs, readJson).catch(() => undefined));
  const names = answer.success ? answer.data.models.map(({ name }) => name) : [];
  return names.filter((name) => modelName.test(name));
}
