/** Wakes whoever waits for a condition whenever something may have changed. */
export class Signal {
  #next = Promise.withResolvers<void>();

  notify(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  /** Waits until `read` gives something; what it throws ends the wait. */
  async until<T>(read: () => T | undefined): Promise<T> {
    for (;;) {
      const value = read();
      if (value !== undefined) return value;
      await this.#next.promise;
    }
  }
}
