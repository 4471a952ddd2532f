/** How long reading bodies may take in one turn of the event loop, in milliseconds: everybody else waits for it. */
const turnMs = 4;

/** What moving a body about costs beside reading it, in milliseconds: of each part that a socket gives, and each byte. */
const partMs = 0.002;
const byteMs = 1 / (1024 * 1024);

/** Reads the next piece of a body, and says whether more is there. It takes two or three milliseconds at most. */
export type ReadPiece = () => boolean;

/** What it works with; replaced in tests. */
export interface ReadingTurnsOptions {
  /** In milliseconds. */
  readonly now?: () => number;
  /** Calls back in the next turn of the event loop. */
  readonly later?: (callback: () => void) => void;
}

/**
 * Shares out the time in which bodies are read, so that however many come at once, the event loop goes on turning. What
 * a turn has no time for waits: holders take turns, and so do the bodies of one, by a piece each. A body that meets
 * nobody who waits is read at once.
 */
export class ReadingTurns {
  readonly #now: () => number;
  readonly #later: (callback: () => void) => void;
  /** By holder, in the order of their turns; none is empty. */
  readonly #waiting = new Map<string, Set<ReadPiece>>();
  /** Since the last turn in which somebody waited; less than `turnMs` before that delays nobody. */
  #spentMs = 0;
  #isCalled = false;

  constructor({ now = () => performance.now(), later = setImmediate }: ReadingTurnsOptions = {}) {
    this.#now = now;
    this.#later = later;
  }

  /**
   * Reads a body on: now as far as there is time, and the rest in its turn.
   *
   * @returns whether it waits for one.
   */
  enter(holder: string, read: ReadPiece): boolean {
    while (this.#waiting.size === 0 && this.#spentMs < turnMs) if (!this.#read(read)) return false;
    this.#wait(holder, read);
    this.#call();
    return true;
  }

  /** Reads no more of it. */
  leave(holder: string, read: ReadPiece): void {
    const reads = this.#waiting.get(holder);
    if (reads?.delete(read) && reads.size === 0) this.#waiting.delete(holder);
  }

  /** Counts bytes that come in or go on, cut into so many parts: it takes time as well. */
  moved(parts: number, bytes: number): void {
    this.#spentMs += parts * partMs + bytes * byteMs;
  }

  #wait(holder: string, read: ReadPiece): void {
    const reads = this.#waiting.get(holder);
    if (reads === undefined) this.#waiting.set(holder, new Set([read]));
    else reads.add(read);
  }

  #call(): void {
    if (this.#isCalled) return;
    this.#isCalled = true;
    this.#later(() => this.#turn());
  }

  #turn(): void {
    this.#isCalled = false;
    this.#spentMs = 0;
    for (const [holder, reads] of this.#waiting) {
      if (this.#spentMs >= turnMs) break;
      // Behind the others, if it has more.
      this.#waiting.delete(holder);
      const [read] = reads;
      if (read === undefined) continue;
      reads.delete(read);
      if (reads.size > 0) this.#waiting.set(holder, reads);
      if (this.#read(read)) this.#wait(holder, read);
    }
    if (this.#waiting.size > 0) this.#call();
  }

  #read(read: ReadPiece): boolean {
    const before = this.#now();
    const hasMore = read();
    this.#spentMs += this.#now() - before;
    return hasMore;
  }
}
