import type { ServerResponse } from 'node:http';

/** How fast answers come. */
export interface Pace {
  /** Records per second; 0 or Infinity means as fast as the client takes them. */
  readonly tokensPerSecond: number;
  /** From the request to the first record. */
  readonly firstTokenDelayMs: number;
}

/** Most characters joined into one write: a fast answer yields to other requests, and to its client, after this much. */
const BATCH_CHARS = 16_384;
/** Node's timers hold no longer delay; a longer wait is taken in steps. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** A timer may ring a little early; what is due within this time is sent rather than waited for again. */
const TOLERANCE_MS = 1;

/**
 * Writes answers at a set pace. A waiting answer costs one timer and a closure, so thousands fit; when its client
 * leaves, the timer goes with it, and while its client does not read, nothing is produced.
 */
export class Pacer {
  readonly #firstMs: number;
  readonly #stepMs: number;
  #running = 0;

  constructor(pace: Pace) {
    this.#firstMs = pace.firstTokenDelayMs;
    this.#stepMs = pace.tokensPerSecond === 0 ? 0 : 1_000 / pace.tokensPerSecond;
  }

  /** Answers that are being produced right now. */
  get running(): number {
    return this.#running;
  }

  /**
   * Writes `count` records, of which `recordAt` makes each when it is due, and ends the response with the last one.
   * Resolves when the last is written or the client has gone.
   */
  stream(res: ServerResponse, count: number, recordAt: (index: number) => string): Promise<void> {
    let next = 0;
    let due = performance.now() + this.#firstMs;
    return this.#run(res, (job) => {
      let batch = '';
      const now = performance.now() + TOLERANCE_MS;
      while (next < count && due <= now && batch.length < BATCH_CHARS) {
        batch += recordAt(next++);
        due += this.#stepMs;
      }
      if (next === count) {
        job.over();
        res.end(batch);
      } else if (batch !== '' && !res.write(batch)) {
        res.once('drain', () => {
          due = Math.max(due, performance.now());
          job.again(0);
        });
      } else {
        job.again(due - performance.now());
      }
    });
  }

  /** Waits as long as an answer of `count` records takes. Resolves to false when the client has gone meanwhile. */
  async wait(res: ServerResponse, count: number): Promise<boolean> {
    const due = performance.now() + this.#firstMs + count * this.#stepMs;
    await this.#run(res, (job) => {
      const left = due - performance.now();
      if (left <= TOLERANCE_MS) job.over();
      else job.again(left);
    });
    return !res.destroyed;
  }

  /** Owns one answer: runs `step` now and whenever it asks to run again, until it is over or the client leaves. */
  #run(res: ServerResponse, step: (job: Job) => void): Promise<void> {
    if (res.destroyed) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let cancel = (): void => {};
    let live = true;
    const over = (): void => {
      if (!live) return;
      live = false;
      this.#running--;
      cancel();
      res.off('close', over);
      resolve();
    };
    const run = (): void => {
      if (!live) return;
      try {
        step(job);
      } catch (cause) {
        reject(cause);
        over();
      }
    };
    const again = (delayMs: number): void => {
      cancel = delayMs > 0 ? startTimer(run, delayMs) : startImmediate(run);
    };
    const job: Job = { again, over };
    this.#running++;
    res.once('close', over);
    run();
    return promise;
  }
}

interface Job {
  again(delayMs: number): void;
  over(): void;
}

function startTimer(run: () => void, delayMs: number): () => void {
  const timer = setTimeout(run, Math.min(delayMs, LONGEST_TIMER_MS));
  return () => clearTimeout(timer);
}

function startImmediate(run: () => void): () => void {
  const immediate = setImmediate(run);
  return () => clearImmediate(immediate);
}
