import type { Socket } from 'node:net';

/** Messages longer than this are neither sent nor taken, in bytes of JSON. */
export const maxMessageBytes = 16 * 1024 * 1024;

/** A side that leaves more than this unread is cut off, in bytes. */
const maxBacklogBytes = 2 * maxMessageBytes;

/** What was written before the end gets this long to go out, in milliseconds. */
const closeGraceMs = 1_000;

/** The length of what follows, big-endian. The first bytes of HTTP and of TLS read as lengths far beyond any limit. */
const prefixBytes = 4;

/** A line between two windows, for anything that JSON holds. Both sides have proved who they are. */
export interface ControlChannel {
  /**
   * Sends; when the channel is closed, does nothing.
   *
   * @throws RangeError for a message over `maxMessageBytes`, TypeError for one that is not JSON.
   */
  postMessage(message: unknown): void;
  /** Messages that came before the first listener wait for it. */
  on(event: 'message', listener: (message: unknown) => void): unknown;
  /** Called once when the channel has ended, whichever side ended it; also when it had ended before. */
  onClose(listener: () => void): void;
  /** Ends it after what was sent. */
  close(): void;
  readonly closed: boolean;
}

/** A message as it goes over the wire. */
export function encodeFrame(message: unknown): Buffer {
  const text: string | undefined = JSON.stringify(message);
  if (text === undefined) throw new TypeError('the message is not JSON');
  const bytes = Buffer.byteLength(text);
  if (bytes > maxMessageBytes) throw new RangeError(`the message has ${bytes} bytes, over ${maxMessageBytes}`);
  const frame = Buffer.allocUnsafe(prefixBytes + bytes);
  frame.writeUInt32BE(bytes);
  frame.write(text, prefixBytes);
  return frame;
}

/** Cuts a stream of bytes, in whatever pieces it comes, into the texts of messages. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** What was pushed and not taken yet, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /**
   * The next message; undefined when it is not complete yet.
   *
   * @throws RangeError when it announces more than `maxBytes`.
   */
  take(maxBytes: number): string | undefined {
    if (this.#bytes < prefixBytes) return undefined;
    let head = this.#chunks[0];
    if (head === undefined || head.length < prefixBytes) head = this.#join();
    const size = head.readUInt32BE();
    if (size > maxBytes) throw new RangeError(`a message of ${size} bytes, over ${maxBytes}`);
    const end = prefixBytes + size;
    if (this.#bytes < end) return undefined;
    const all = this.#join();
    this.#chunks = end < all.length ? [all.subarray(end)] : [];
    this.#bytes -= end;
    return all.toString('utf8', prefixBytes, end);
  }

  #join(): Buffer {
    const [first = Buffer.alloc(0), ...rest] = this.#chunks;
    const all = rest.length === 0 ? first : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}

/** Somebody who waits for exactly one message. */
interface Asked extends PromiseWithResolvers<unknown> {
  readonly maxBytes: number;
}

/** A channel over a socket. What is not a message ends it. */
export class SocketChannel implements ControlChannel {
  readonly #socket: Socket;
  readonly #frames = new FrameReader();
  readonly #messageListeners: ((message: unknown) => void)[] = [];
  readonly #closeListeners: (() => void)[] = [];
  #asked: Asked | undefined;
  #closed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#frames.push(chunk);
      this.#deliver();
    });
    // 'close' follows and says all there is to say.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#closed = true;
      this.#asked?.resolve(undefined);
      for (const listener of this.#closeListeners.splice(0)) listener();
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  postMessage(message: unknown): void {
    if (this.#closed) return;
    this.#socket.write(encodeFrame(message));
    if (this.#socket.writableLength > maxBacklogBytes) this.destroy();
  }

  on(_event: 'message', listener: (message: unknown) => void): void {
    this.#messageListeners.push(listener);
    // As with a MessagePort, nothing comes before whoever listens has finished what it is at.
    queueMicrotask(() => this.#deliver());
  }

  onClose(listener: () => void): void {
    if (this.#socket.closed) queueMicrotask(listener);
    else this.#closeListeners.push(listener);
  }

  /**
   * The next message alone; those after it wait for whoever asks or listens next. Undefined when the channel ends first.
   *
   * @throws Error when what comes is no message of at most `maxBytes`; the channel is ended.
   */
  next(maxBytes: number): Promise<unknown> {
    const asked = { maxBytes, ...Promise.withResolvers<unknown>() };
    if (this.#closed) asked.resolve(undefined);
    this.#asked = asked;
    this.#deliver();
    return asked.promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.destroySoon();
    const grace = setTimeout(() => this.#socket.destroy(), closeGraceMs);
    this.#socket.once('close', () => clearTimeout(grace));
  }

  /** Ends it at once. */
  destroy(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  #deliver(): void {
    while (!this.#closed) {
      const asked = this.#asked;
      if (asked === undefined && this.#messageListeners.length === 0) {
        if (this.#frames.bytes > maxMessageBytes) this.destroy();
        return;
      }
      let message: unknown;
      try {
        const text = this.#frames.take(asked?.maxBytes ?? maxMessageBytes);
        if (text === undefined) return;
        message = JSON.parse(text);
      } catch (error) {
        asked?.reject(error);
        this.destroy();
        return;
      }
      this.#asked = undefined;
      if (asked !== undefined) asked.resolve(message);
      else for (const listener of this.#messageListeners) listener(message);
    }
  }
}
