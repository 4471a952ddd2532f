import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { chunk, type Head, readChunks, readHead } from './http1.ts';
import { Signal } from './signal.ts';

/** A request as the upstream read it. */
export interface Received extends Head {
  readonly method: string;
  /** The request target, byte for byte. */
  readonly target: string;
  readonly body: Buffer;
  readonly text: string;
  /** Which connection it came on, from 0. */
  readonly connection: number;
}

/** Answers one request, in whatever way and however slowly a test wants. */
export class Reply {
  readonly request: Received;
  readonly socket: Socket;

  constructor(request: Received, socket: Socket) {
    this.request = request;
    this.socket = socket;
  }

  json(value: unknown, status = 200): void {
    this.text(JSON.stringify(value), 'application/json; charset=utf-8', status);
  }

  text(body: string | Buffer, contentType = 'text/plain', status = 200): void {
    const length = Buffer.byteLength(body);
    this.raw(`HTTP/1.1 ${status} Answer\r\nContent-Type: ${contentType}\r\nContent-Length: ${length}\r\n\r\n`);
    if (this.request.method !== 'HEAD') this.raw(body);
  }

  /** Begins a chunked answer. */
  stream(contentType = 'application/x-ndjson', lines: readonly string[] = []): void {
    const headers = [`Content-Type: ${contentType}`, 'Transfer-Encoding: chunked', ...lines];
    this.raw(`HTTP/1.1 200 OK\r\n${headers.join('\r\n')}\r\n\r\n`);
  }

  chunk(data: string | Buffer): void {
    this.raw(chunk(data));
  }

  end(): void {
    this.raw('0\r\n\r\n');
  }

  raw(data: string | Buffer): void {
    if (!this.socket.destroyed) this.socket.write(data);
  }

  /** Ends the connection as a dying process does: FIN, or a reset when bytes were left unread. */
  die(): void {
    this.socket.destroy();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Waits until the guard has let go of the connection. */
  async closed(): Promise<void> {
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once('close', resolve));
  }
}

/** What an upstream does with a request. */
export type Answer = (reply: Reply) => void;

const answerModels: Answer = (reply) => reply.json({ models: [] });

/**
 * An upstream on raw sockets. Deliberately lenient: it takes bare line feeds, lets a content length win over chunks,
 * and reads on after a body that was shorter than what follows, so that a smuggled request is executed and seen.
 */
export class FakeOllama {
  readonly requests: Received[] = [];
  /** Heads of requests whose body has not come yet. */
  readonly heads: Head[] = [];
  answer: Answer;
  /** Connections ever taken. */
  connections = 0;
  /** Bytes ever taken. */
  bytes = 0;
  readonly #open = new Set<Socket>();
  readonly #replies: Reply[] = [];
  readonly #changed = new Signal();
  #server: Server | undefined;
  #port = 0;

  constructor(answer: Answer) {
    this.answer = answer;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Connections open now. */
  get open(): number {
    return this.#open.size;
  }

  /** The targets seen, with their methods, in order. */
  get seen(): string[] {
    return this.requests.map(({ method, target }) => `${method} ${target}`);
  }

  /** Waits for the request of this number, from 0, and gives what answers it. */
  reply(number: number): Promise<Reply> {
    return this.#changed.until(() => this.#replies[number]);
  }

  /** Waits until something about requests, heads or bytes holds. */
  async until(check: () => boolean): Promise<void> {
    await this.#changed.until(() => check() || undefined);
  }

  /** Listens; on the same port as before when it did before. */
  async start(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Goes away and takes every connection along. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#open) socket.destroy();
    if (server === undefined) return;
    server.close();
    await once(server, 'close');
  }

  #accept(socket: Socket): void {
    const connection = this.connections++;
    this.#open.add(socket);
    let buffer = Buffer.alloc(0);
    let announced = false;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#open.delete(socket);
      this.#changed.notify();
    });
    socket.on('data', (data) => {
      this.bytes += data.length;
      buffer = Buffer.concat([buffer, data]);
      for (;;) {
        const head = readHead(buffer);
        if (head === undefined) break;
        if (!announced) this.heads.push(head);
        announced = true;
        const taken = takeBody(head, buffer.subarray(head.length));
        if (taken === undefined) break;
        buffer = buffer.subarray(head.length + taken.length);
        announced = false;
        const [method = '', target = ''] = head.startLine.split(' ');
        const request = { ...head, method, target, body: taken.body, text: taken.body.toString(), connection };
        const reply = new Reply(request, socket);
        this.requests.push(request);
        this.#replies.push(reply);
        this.answer(reply);
      }
      this.#changed.notify();
    });
  }
}

/** A fake upstream that lives as long as the test. */
export async function startFakeOllama(t: TestContext, answer: Answer = answerModels): Promise<FakeOllama> {
  const fake = new FakeOllama(answer);
  await fake.start();
  t.after(() => fake.stop());
  return fake;
}

function takeBody(head: Head, rest: Buffer): { body: Buffer; length: number } | undefined {
  const length = head.headers['content-length'];
  if (length !== undefined) {
    const size = Number(length.split(',')[0]);
    return rest.length < size ? undefined : { body: rest.subarray(0, size), length: size };
  }
  if (head.headers['transfer-encoding'] === undefined) return { body: Buffer.alloc(0), length: 0 };
  const chunks = readChunks(rest);
  return chunks.length === undefined ? undefined : { body: chunks.body, length: chunks.length };
}
