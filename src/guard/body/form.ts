import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RefusalCode } from '../answers.ts';
import { MiB } from '../config.ts';
import type { CheckedBody, Value } from './facts.ts';
import { MultipartReader, type Part } from './multipart.ts';
import { parametersOf } from './partHeaders.ts';
import type { ReadBody } from './readBody.ts';
import { type ReceiveLimits, receive } from './receive.ts';
import { folded } from './strings.ts';

/** Ollama takes 25 MiB of audio. */
const maxFormBytes = 32 * MiB;

/** As of a model in JSON, in bytes. */
const maxModelBytes = 512;

const boundaryText = /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/;

/**
 * Reads a form that names exactly one model (SEC-35), and writes it anew: what Ollama reads are the fields as they were
 * read here, whatever another reader would make of the client's form.
 */
export async function readForm(
  req: IncomingMessage,
  res: ServerResponse,
  { maxBytes, hold }: ReceiveLimits,
): Promise<ReadBody> {
  const boundary = boundaryOf(req.headers['content-type'] ?? '');
  if (boundary === undefined) return { refusal: 'not-a-form' };
  const reader = new MultipartReader(boundary);
  const limits = { maxBytes: Math.min(maxBytes, maxFormBytes), hold };
  const received = await receive(req, res, limits, (chunk) => {
    reader.write(chunk);
    return reader.refusal;
  });
  if (received === 'gone') return undefined;
  if (received !== 'whole') return received;
  const form = reader.end();
  if ('refusal' in form) return form;
  const model = modelOf(form.parts);
  return 'refusal' in model ? model : written(form.parts, model);
}

/** The boundary of a form: RFC 2046 §5.1.1. Undefined when this is no form. */
function boundaryOf(contentType: string): string | undefined {
  const boundary = parametersOf(contentType, 'multipart/form-data')?.get('boundary');
  return boundary !== undefined && boundaryText.test(boundary) ? boundary : undefined;
}

/** The one field that names the model. */
interface Model {
  readonly part: Part;
  readonly text: string;
}

function modelOf(parts: readonly Part[]): Model | { readonly refusal: RefusalCode } {
  const [part, another] = parts.filter(({ name }) => folded(name) === 'model');
  if (part === undefined) return { refusal: 'no-model' };
  if (another !== undefined || part.name !== 'model') return { refusal: 'ambiguous-json' };
  const { fileName, content } = part;
  if (fileName !== undefined || content.length > maxModelBytes) return { refusal: 'bad-field' };
  const bytes = Buffer.concat(content.parts());
  return isUtf8(bytes) ? { part, text: bytes.toString() } : { refusal: 'bad-field' };
}

function written(parts: readonly Part[], model: Model): CheckedBody {
  const boundary = `ollama-guard-${randomBytes(16).toString('hex')}`;
  const values = new Map<string, Value>();
  const buffers: Buffer[] = [];
  let length = 0;
  const write = (...more: readonly Buffer[]) => {
    buffers.push(...more);
    for (const { length: bytes } of more) length += bytes;
  };
  for (const part of parts) {
    write(Buffer.from(`--${boundary}\r\n${headersOf(part)}\r\n\r\n`));
    const start = length;
    write(...part.content.parts());
    if (part === model.part) values.set('model', { kind: 'string', value: model.text, start, end: length });
    write(Buffer.from('\r\n'));
  }
  write(Buffer.from(`--${boundary}--\r\n`));
  const bytesOf = (some: readonly Part[]) => some.reduce((sum, { content }) => sum + content.length, 0);
  // Ollama gives the model a recording as an image.
  const files = parts.filter(({ fileName }) => fileName !== undefined);
  const textBytes = bytesOf(parts) - bytesOf(files);
  return {
    parts: buffers,
    length,
    facts: { values, images: { count: files.length, bytes: bytesOf(files) }, toolTypes: [], textBytes },
    contentType: `multipart/form-data; boundary=${boundary}`,
  };
}

/** A name of a file loses what a quoted text cannot hold. */
function headersOf({ name, fileName, type }: Part): string {
  const disposition = `Content-Disposition: form-data; name="${name}"`;
  if (fileName === undefined) return disposition;
  const safe = fileName.replaceAll(/["\\]|\p{Cc}/gu, '_') || 'file';
  return `${disposition}; filename="${safe}"\r\nContent-Type: ${type ?? 'application/octet-stream'}`;
}
