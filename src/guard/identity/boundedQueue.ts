/** Thrown by `BoundedQueue.run` in place of growing. */
export class QueueFullError extends Error {
  override readonly name = 'QueueFullError';
}

/** How many tasks may wait or run: in all, and for one key. */
export interface QueueLimits {
  readonly total: number;
  readonly perKey: number;
}

/**
 * Runs tasks one after another. Bounded in all and per key, so that one address cannot take every place
 * (SEC-53).
 */
export class BoundedQueue {
  readonly #limits: QueueLimits;
  readonly #perKey = new Map<string, number>();
  #size = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /** Tasks that wait or run. */
  get size(): number {
    return this.#size;
  }

  /** @throws QueueFullError at once when there is no place. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const ofKey = this.#perKey.get(key) ?? 0;
    if (this.#size >= this.#limits.total || ofKey >= this.#limits.perKey) throw new QueueFullError('The queue is full');
    this.#size += 1;
    this.#perKey.set(key, ofKey + 1);
    const result = this.#last.then(task);
    this.#last = result.then(
      () => this.#leave(key),
      () => this.#leave(key),
    );
    return result;
  }

  #leave(key: string): void {
    this.#size -= 1;
    const left = (this.#perKey.get(key) ?? 1) - 1;
    if (left === 0) this.#perKey.delete(key);
    else this.#perKey.set(key, left);
  }
}
