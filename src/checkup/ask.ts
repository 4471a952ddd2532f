import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type * as z from 'zod/mini';
import { readJson } from '../guard/forward/readJson.ts';

const timeoutMs = 3_000;

/** A question for Ollama. It carries no credential, and a redirect is an answer like any other. */
export interface Question {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer to a question. */
export interface Answer<Body> {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** Undefined when it was not asked for, or is not what was asked for. */
  readonly body: Body | undefined;
}

/**
 * Asks Ollama something. Undefined when no answer came within three seconds.
 *
 * @param schema what is read of the body, of at most one MiB; without it the body is not even read.
 * @throws the reason of `signal` when that is what ended it.
 */
export async function ask<Body>(
  upstream: string,
  { method = 'GET', path, headers = {} }: Question,
  signal: AbortSignal,
  schema?: z.ZodMiniType<Body>,
): Promise<Answer<Body> | undefined> {
  signal.throwIfAborted();
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const res = await open(new URL(path, upstream), method, headers, limit);
    const body = schema === undefined ? undefined : schema.safeParse(await readJson(res)).data;
    res.destroy();
    return { status: res.statusCode ?? 0, headers: res.headers, body };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function open(url: URL, method: string, headers: Question['headers'], signal: AbortSignal): Promise<IncomingMessage> {
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    request(url, { method, headers, agent: false, signal }, resolve).on('error', reject).end();
  });
}
