import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { TestContext } from 'node:test';
import { type DemoOllama, type DemoOptions, startDemoOllama } from '../../../src/demo/demoOllama.ts';

/** Slow enough that an answer never ends by itself within a test, while its first token comes at once. */
export const ENDLESS: DemoOptions = { tokensPerSecond: 0.001 };

/** A demo that stops when the test is over. */
export async function demoFor(t: TestContext, options: DemoOptions = {}): Promise<DemoOllama> {
  const demo = await startDemoOllama(options);
  t.after(() => demo.stop());
  return demo;
}

/** Sends a JSON body and takes the whole answer. */
export async function post(
  demo: DemoOllama,
  path: string,
  body: unknown,
  init: RequestInit = {},
): Promise<{ status: number; type: string; text: string }> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(demo.url + path, { method: 'POST', body: text, ...init });
  return {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    text: await response.text(),
  };
}

/** The records of an NDJSON body. */
export function recordsOf<T>(ndjson: string): T[] {
  return ndjson
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

/** The `data:` of each event of an SSE body. */
export function eventsOf(sse: string): string[] {
  return sse
    .trimEnd()
    .split('\n\n')
    .map((event) => event.slice(event.indexOf('data: ') + 'data: '.length));
}

/** Opens a streamed answer and holds it after its head has come. */
export async function openStream(demo: DemoOllama, path: string, body: object): Promise<IncomingMessage> {
  const req = request(demo.url + path, { method: 'POST' });
  req.end(JSON.stringify(body));
  const [response] = (await once(req, 'response')) as [IncomingMessage];
  response.on('error', () => {});
  return response;
}

/** Waits, without a deadline of its own, until `check` holds. */
export async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 5));
}
