import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { readChunks, readHead } from './http1.ts';
import { overTls } from './overTls.ts';
import { Signal } from './signal.ts';

/** A response as it stood on the wire. */
export interface RawResponse {
  readonly status: number;
  readonly statusLine: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly text: string;
  /** False when the connection ended before the body did. */
  readonly complete: boolean;
}

/** A request to be written byte for byte. */
export interface RawRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Header lines written as they are, for what a record cannot hold. */
  readonly lines?: readonly string[];
  readonly body?: string | Buffer;
  readonly version?: string;
}

/** The bytes of a request. `Host` and `Content-Length` are added unless they are there or the lines frame the body. */
export function requestBytes(host: string, request: RawRequest = {}): Buffer {
  const { method = 'GET', path = '/api/tags', headers = {}, lines = [], body, version = '1.1' } = request;
  const all = [...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), ...lines];
  const has = (pattern: RegExp) => all.some((line) => pattern.test(line));
  if (!has(/^host\s*:/i)) all.unshift(`Host: ${host}`);
  if (body !== undefined && !has(/^(content-length|transfer-encoding)\s*:/i)) {
    all.push(`Content-Length: ${Buffer.byteLength(body)}`);
  }
  const head = Buffer.from(`${method} ${path} HTTP/${version}\r\n${all.join('\r\n')}\r\n\r\n`, 'latin1');
  return body === undefined ? head : Buffer.concat([head, Buffer.from(body as string)]);
}

/** How a raw client connects; over TLS with an authority to trust. */
export interface RawOptions extends Partial<TcpNetConnectOpts> {
  readonly ca?: string | undefined;
}

/** A connection that says exactly what a test makes it say. */
export class RawClient {
  readonly socket: Socket;
  readonly host: string;
  readonly #changed = new Signal();
  #received = Buffer.alloc(0);
  #closed = false;

  private constructor(socket: Socket, host: string) {
    this.socket = socket;
    this.host = host;
    socket.on('data', (data) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#changed.notify();
    });
    // A reset is one way in which a connection ends; tests ask about the end itself.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#closed = true;
      this.#changed.notify();
    });
  }

  /** Connects; the connection ends with the test. */
  static async open(
    t: TestContext,
    port: number,
    options: RawOptions & { readonly paused?: boolean } = {},
  ): Promise<RawClient> {
    const { paused, ca = overTls?.ca, ...rest } = options;
    const connectOptions = { host: '127.0.0.1', port, ...rest };
    const socket = ca === undefined ? connect(connectOptions) : connectTls({ ca, ...connectOptions });
    const client = new RawClient(socket, `127.0.0.1:${port}`);
    t.after(() => socket.destroy());
    await client.#changed.until(() => {
      socket.once(ca === undefined ? 'connect' : 'secureConnect', () => client.#changed.notify());
      if (client.#closed) throw new Error('the connection was refused');
      return isOpening(socket) ? undefined : true;
    });
    if (paused) socket.pause();
    return client;
  }

  /** Writes bytes, or a request. */
  send(data: string | Buffer | RawRequest): void {
    this.socket.write(typeof data === 'string' || Buffer.isBuffer(data) ? data : requestBytes(this.host, data));
  }

  /** What came and was not taken by `response` yet. */
  get pending(): string {
    return this.#received.toString('latin1');
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Waits until the pending bytes hold this text. */
  async has(text: string): Promise<void> {
    await this.#changed.until(() => {
      if (this.pending.includes(text)) return true;
      if (this.#closed) throw new Error(`closed before ${JSON.stringify(text)} came: ${JSON.stringify(this.pending)}`);
      return undefined;
    });
  }

  /** Waits until the other side has ended the connection. */
  async closed(): Promise<void> {
    await this.#changed.until(() => this.#closed || undefined);
  }

  /** Takes the next response off the wire. */
  response(options: { readonly head?: boolean } = {}): Promise<RawResponse> {
    return this.#changed.until(() => this.#takeResponse(options.head ?? false));
  }

  #takeResponse(isHead: boolean): RawResponse | undefined {
    const head = readHead(this.#received);
    if (head === undefined) {
      if (this.#closed) throw new Error(`closed without a response: ${JSON.stringify(this.pending)}`);
      return undefined;
    }
    const rest = this.#received.subarray(head.length);
    const status = Number(head.startLine.split(' ')[1]);
    const bodiless = isHead || status < 200 || status === 204 || status === 304;
    const frame = bodiless ? { body: Buffer.alloc(0), length: 0 } : this.#readBody(head.headers, rest);
    if (frame.length === undefined && !this.#closed) return undefined;
    this.#received = this.#received.subarray(head.length + (frame.length ?? rest.length));
    return {
      status,
      statusLine: head.startLine,
      headers: head.headers,
      body: frame.body,
      text: frame.body.toString(),
      complete: frame.length !== undefined,
    };
  }

  #readBody(headers: Readonly<Record<string, string>>, rest: Buffer): { body: Buffer; length: number | undefined } {
    if (headers['transfer-encoding'] === 'chunked') return readChunks(rest);
    const length = headers['content-length'];
    if (length === undefined) return { body: rest, length: this.#closed ? rest.length : undefined };
    const size = Number(length);
    return { body: rest.subarray(0, size), length: rest.length >= size ? size : undefined };
  }
}

function isOpening(socket: Socket): boolean {
  return socket.connecting || ('secureConnecting' in socket && socket.secureConnecting === true);
}

/** Sends one request on a connection of its own and takes the answer. */
export async function request(
  t: TestContext,
  port: number,
  what: RawRequest | string | Buffer,
  options: RawOptions = {},
): Promise<RawResponse> {
  const client = await RawClient.open(t, port, options);
  client.send(what);
  const isHead = typeof what === 'object' && !Buffer.isBuffer(what) && what.method === 'HEAD';
  const response = await client.response({ head: isHead });
  client.socket.destroy();
  return response;
}
