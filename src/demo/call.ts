import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import type { Catalogue } from './catalogue.ts';
import { type Fields, fieldsOf } from './fields.ts';
import type { Pacer } from './pacer.ts';
import { errorBody, Refusal, surfaceOf } from './refusal.ts';

/** What all requests of one demo share. */
export interface Demo {
  readonly catalogue: Catalogue;
  readonly pacer: Pacer;
  /** Digests of uploaded blobs; their bytes are not kept. */
  readonly blobs: Set<string>;
  /** Length of an answer in tokens. */
  readonly tokens: number;
  /** What it calls its version. */
  readonly version: string;
  /** Whether it acts for an account of ollama.com; undefined when its cloud is off. */
  readonly account: 'signed-in' | 'signed-out' | undefined;
}

/** One request on its way through a handler. */
export interface Call {
  readonly demo: Demo;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Percent-decoded, as gin matches it. */
  readonly path: string;
  /** What follows the `?`, undecoded. */
  readonly query: string;
  /** The variable last segment of the route, or ''. */
  readonly param: string;
}

export type Handler = (call: Call) => void | Promise<void>;

/** Most bytes of a request body that is held in memory. Blobs are not: they are only hashed. */
export const MAX_BODY_BYTES = 64 * 1_024 * 1_024;
/** Ollama's cap on a body after zstd. */
const MAX_UNPACKED_BYTES = 20 * 1_024 * 1_024;

export const NATIVE_JSON = 'application/json; charset=utf-8';
/** What the `/v1` writers and the progress of a pull set. */
export const PLAIN_JSON = 'application/json';
export const NDJSON = 'application/x-ndjson';

const unpack = promisify(zstdDecompress);

/** Reads the body as one JSON object. Refuses an empty, oversized or unreadable one. */
export async function readJson(call: Call): Promise<Fields> {
  const packed = await readBody(call.req);
  const surface = surfaceOf(call.path);
  const zstd = surface !== 'native' && call.req.headers['content-encoding'] === 'zstd';
  const body = zstd ? await unpackBody(packed) : packed;
  if (body.length === 0) throw new Refusal(400, surface === 'native' ? 'missing request body' : 'EOF');
  return fieldsOf(parse(body.toString()));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Refusal(400, `invalid JSON: ${cause instanceof Error ? cause.message : 'unreadable'}`);
  }
}

async function unpackBody(packed: Buffer): Promise<Buffer> {
  try {
    return await unpack(packed, { maxOutputLength: MAX_UNPACKED_BYTES });
  } catch {
    throw new Refusal(400, 'failed to decompress zstd body');
  }
}

/** Reads a whole body. Refuses one over {@link MAX_BODY_BYTES} (413); rejects when the client leaves before its end. */
export function readBody(req: IncomingMessage): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;
  req.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    else {
      chunks.length = 0;
      reject(new Refusal(413, 'request body too large'));
    }
  });
  req.once('end', () => resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)));
  req.once('error', reject);
  req.once('close', () => reject(new Error('the client left before its request was complete')));
  return promise;
}

/** Answers with a body that is complete. */
export function send(res: ServerResponse, status: number, type: string, body: string | Buffer): void {
  if (res.destroyed) return;
  res.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  res.end(body);
}

/** Answers with a JSON value. */
export function sendJson(res: ServerResponse, value: unknown, type: string = NATIVE_JSON): void {
  send(res, 200, type, JSON.stringify(value));
}

/** Answers a failed call in the dialect of its path. When an answer has already begun it can only be cut off. */
export function sendError(call: Call, cause: unknown): void {
  const { res } = call;
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const status = cause instanceof Refusal ? cause.status : 500;
  const message = cause instanceof Error ? cause.message : String(cause);
  const surface = surfaceOf(call.path);
  const type = surface === 'native' ? NATIVE_JSON : PLAIN_JSON;
  send(res, status, type, JSON.stringify(errorBody(surface, status, message)));
}
