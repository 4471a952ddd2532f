import { isUtf8 } from 'node:buffer';

/** What a part of a form says of itself. */
export interface PartHeaders {
  readonly name: string;
  /** Of a file; undefined for a text. */
  readonly fileName: string | undefined;
  /** A media type without parameters. */
  readonly type: string | undefined;
}

const allParameters = /^(?:\s*;\s*[\w*-]+=(?:"(?:[^"\\]|\\.)*"|[^\s";]+))*\s*$/;
const eachParameter = /;\s*([\w*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))/g;
const header = /^([\w-]+):(.*)$/;
const fieldName = /^[\w.[\]-]{1,128}$/;
const mediaType = /^[\w.+-]+\/[\w.+-]+(?=\s*(?:;|$))/;

/** Encodings that change no byte; Go would decode another one: RFC 7578 §4.7. */
const plainEncoding = /^(?:7bit|8bit|binary)$/i;

/**
 * Reads the headers of a part: RFC 7578 §4. Undefined when they are malformed, or name a field in characters that no
 * field of the API has.
 */
export function readPartHeaders(bytes: Buffer): PartHeaders | undefined {
  if (!isUtf8(bytes)) return undefined;
  const headers = new Map<string, string>();
  for (const line of bytes.toString().split('\r\n')) {
    const [, name, value] = header.exec(line) ?? [];
    if (name === undefined || value === undefined || headers.has(name.toLowerCase())) return undefined;
    headers.set(name.toLowerCase(), value.trim());
  }
  const parameters = parametersOf(headers.get('content-disposition') ?? '', 'form-data');
  const name = parameters?.get('name');
  if (parameters === undefined || name === undefined || !fieldName.test(name)) return undefined;
  if (!plainEncoding.test(headers.get('content-transfer-encoding') ?? 'binary')) return undefined;
  const isFile = parameters.has('filename') || parameters.has('filename*');
  return {
    name,
    fileName: isFile ? (parameters.get('filename') ?? '') : undefined,
    type: mediaType.exec(headers.get('content-type') ?? '')?.[0],
  };
}

/**
 * The parameters of a header such as `form-data; name="file"`, by their names in lower case; undefined when it is not of
 * this type, is malformed or has one twice.
 */
export function parametersOf(value: string, type: string): ReadonlyMap<string, string> | undefined {
  if (value.slice(0, type.length).toLowerCase() !== type) return undefined;
  const text = value.slice(type.length);
  if (!allParameters.test(text)) return undefined;
  const found = new Map<string, string>();
  for (const [, name = '', quoted, token = ''] of text.matchAll(eachParameter)) {
    if (found.has(name.toLowerCase())) return undefined;
    found.set(name.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? token);
  }
  return found;
}
