/** A message head as it stood on the wire. */
export interface Head {
  readonly startLine: string;
  /** Names as sent, in order. */
  readonly rawHeaders: readonly (readonly [name: string, value: string])[];
  /** By lower-case name; several of one name joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  /** The bytes the head takes. */
  readonly length: number;
}

/** Reads a head, taking bare line feeds for line ends as a lenient parser does; undefined while it is not complete. */
export function readHead(bytes: Buffer): Head | undefined {
  const match = /\r?\n\r?\n/.exec(bytes.toString('latin1'));
  if (match === null) return undefined;
  const [startLine = '', ...lines] = bytes.toString('latin1', 0, match.index).split(/\r?\n/);
  const rawHeaders = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  const headers: Record<string, string> = Object.create(null);
  for (const [rawName, value] of rawHeaders) {
    const name = rawName.toLowerCase();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return { startLine, rawHeaders, headers, length: match.index + match[0].length };
}

/** A body of chunks: what it holds so far, and where it ends (undefined while it goes on). */
export function readChunks(bytes: Buffer): { readonly body: Buffer; readonly length: number | undefined } {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\n', at);
    const body = () => Buffer.concat(chunks);
    if (lineEnd === -1) return { body: body(), length: undefined };
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    const end = lineEnd + 1 + size;
    if (bytes.length < end + 2) return { body: body(), length: undefined };
    if (size === 0) return { body: body(), length: end + 2 };
    chunks.push(bytes.subarray(lineEnd + 1, end));
    at = end + 2;
  }
}

/** One chunk of a chunked body. */
export function chunk(data: string | Buffer): Buffer {
  const bytes = Buffer.from(data as string);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}
