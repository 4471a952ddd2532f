import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RefusalCode } from '../answers.ts';
import { continueIfExpected } from '../entry/body.ts';
import type { BodyHold } from './budget.ts';
import { type ArrivingBody, Deadlines } from './deadlines.ts';
import { ReadingTurns } from './readingTurns.ts';

/** How large a body may be, in bytes, and what it is held in. */
export interface ReceiveLimits {
  readonly maxBytes: number;
  readonly hold: Pick<BodyHold, 'holder' | 'take'>;
}

/** `gone`: the client left before the end. */
export type Received = 'whole' | 'gone' | { readonly refusal: RefusalCode };

/** What is read at a time, so that it never takes long: bytes, and the parts that a client cut them into. */
const pieceBytes = 16 * 1024;
const pieceParts = 256;

/** The event loop is the thread's, and so is its time. */
const turns = new ReadingTurns();
const deadlines = new Deadlines();

/**
 * Takes a body off the wire. After a refusal nothing more of it is read: `refuse` throws the rest away.
 *
 * @param onPart says why the body cannot be taken, as soon as that is clear.
 */
export function receive(
  req: IncomingMessage,
  res: ServerResponse,
  limits: ReceiveLimits,
  onPart: (part: Buffer) => RefusalCode | undefined,
): Promise<Received> {
  if (Number(req.headers['content-length'] ?? 0) > limits.maxBytes) {
    return Promise.resolve({ refusal: 'body-too-large' });
  }
  if (req.destroyed || res.destroyed) return Promise.resolve('gone');
  return new Promise((resolve) => {
    continueIfExpected(req, res);
    new Reception(req, res, limits, onPart, resolve).begin();
  });
}

/** One body on its way in. What came and waits for its turn is all that is taken off its socket meanwhile. */
class Reception implements ArrivingBody {
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #limits: ReceiveLimits;
  readonly #onPart: (part: Buffer) => RefusalCode | undefined;
  readonly #resolve: (received: Received) => void;
  /** What came, and where in it begins what is not read yet. */
  #unread: Buffer[] = [];
  #first = 0;
  #at = 0;
  #bytes = 0;
  #readBytes = 0;
  #isWaiting = false;
  #hasEnded = false;

  constructor(
    req: IncomingMessage,
    res: ServerResponse,
    limits: ReceiveLimits,
    onPart: (part: Buffer) => RefusalCode | undefined,
    resolve: (received: Received) => void,
  ) {
    this.#req = req;
    this.#res = res;
    this.#limits = limits;
    this.#onPart = onPart;
    this.#resolve = resolve;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  begin(): void {
    deadlines.begin(this);
    this.#req.on('data', this.#take).once('end', this.#end).once('close', this.#close);
    this.#res.once('close', this.#leave);
  }

  onLate(): void {
    this.#refuse('request-timeout');
  }

  readonly #take = (chunk: Buffer): void => {
    const { maxBytes, hold } = this.#limits;
    this.#bytes += chunk.length;
    if (this.#bytes > maxBytes) this.#refuse('body-too-large');
    else if (!hold.take(chunk.length)) this.#refuse('too-many-bodies');
    else {
      this.#unread.push(chunk);
      this.#enter();
    }
  };

  readonly #end = (): void => {
    this.#hasEnded = true;
    this.#enter();
  };

  /** A request closes at its own end, too; and its response only if it is the first of its connection. */
  readonly #close = (): void => {
    if (!this.#hasEnded) this.#leave();
  };

  readonly #leave = (): void => this.#settle('gone');

  #enter(): void {
    if (this.#isWaiting || !turns.enter(this.#limits.hold.holder, this.#read)) return;
    this.#isWaiting = true;
    // Node would have the socket go on behind each part of a body, whoever paused it.
    this.#req._read = () => {};
    this.#req.socket.pause();
  }

  readonly #read = (): boolean => {
    let bytes = 0;
    for (let parts = 0; parts < pieceParts && bytes < pieceBytes; parts += 1) {
      const part = this.#next(pieceBytes - bytes);
      if (part === undefined) break;
      bytes += part.length;
      const refusal = this.#onPart(part);
      if (refusal !== undefined) {
        this.#refuse(refusal);
        return false;
      }
    }
    if (this.#first < this.#unread.length) return true;
    // As much may come next, or all of it goes on.
    turns.moved(this.#unread.length, this.#hasEnded ? this.#bytes : this.#bytes - this.#readBytes);
    this.#readBytes = this.#bytes;
    this.#unread = [];
    this.#first = 0;
    if (this.#hasEnded) this.#settle('whole');
    else this.#goOn();
    return false;
  };

  /** The next bytes, so many at most. */
  #next(maxBytes: number): Buffer | undefined {
    const chunk = this.#unread[this.#first];
    if (chunk === undefined) return undefined;
    const end = this.#at + maxBytes;
    const isLast = end >= chunk.length;
    const part = this.#at === 0 && isLast ? chunk : chunk.subarray(this.#at, end);
    this.#first += isLast ? 1 : 0;
    this.#at = isLast ? 0 : end;
    return part;
  }

  #goOn(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    Reflect.deleteProperty(this.#req, '_read');
    this.#req.socket.resume();
  }

  #refuse(refusal: RefusalCode): void {
    this.#req.pause();
    this.#settle({ refusal });
  }

  #settle(received: Received): void {
    this.#req.off('data', this.#take).off('end', this.#end).off('close', this.#close);
    this.#res.off('close', this.#leave);
    turns.leave(this.#limits.hold.holder, this.#read);
    deadlines.end(this);
    this.#unread = [];
    this.#goOn();
    this.#resolve(received);
  }
}
