/** How many bytes of bodies may be in memory at once: in all, and for one holder. */
export interface BudgetLimits {
  readonly total: number;
  readonly perHolder: number;
}

/** What one request holds of the budget. */
export interface BodyHold {
  /** Asks for more bytes; false when they do not fit, or all was given back already. */
  take(bytes: number): boolean;
  /** Gives everything back, once and for all. */
  release(): void;
}

/** Bounds the memory that bodies take while they are read, checked and sent, so that one user cannot take all of it. */
export class BodyBudget {
  readonly #limits: BudgetLimits;
  readonly #perHolder = new Map<string, number>();
  #total = 0;

  constructor(limits: BudgetLimits) {
    this.#limits = limits;
  }

  /** Bytes that are held, by everyone. */
  get held(): number {
    return this.#total;
  }

  /** For one request of a holder, such as a user's id. Release it when the request is over. */
  hold(holder: string): BodyHold {
    let held = 0;
    let isOver = false;
    return {
      take: (bytes) => {
        if (isOver || !this.#take(holder, bytes)) return false;
        held += bytes;
        return true;
      },
      release: () => {
        if (isOver) return;
        isOver = true;
        this.#give(holder, held);
      },
    };
  }

  #take(holder: string, bytes: number): boolean {
    const ofHolder = (this.#perHolder.get(holder) ?? 0) + bytes;
    if (this.#total + bytes > this.#limits.total || ofHolder > this.#limits.perHolder) return false;
    this.#total += bytes;
    this.#perHolder.set(holder, ofHolder);
    return true;
  }

  #give(holder: string, bytes: number): void {
    const left = (this.#perHolder.get(holder) ?? 0) - bytes;
    this.#total -= bytes;
    if (left > 0) this.#perHolder.set(holder, left);
    else this.#perHolder.delete(holder);
  }
}
