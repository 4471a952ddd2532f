import { MiB } from '../config.ts';

/** How many bytes of bodies may be in memory at once. */
export interface BudgetLimits {
  /** What holders share. */
  readonly total: number;
  /** Beside it, for small bodies: in all, and for one holder; replaced in tests. */
  readonly reserve?: { readonly total: number; readonly perHolder: number };
}

/**
 * Bounds the memory that bodies take while they are read, checked and sent, so that a few users cannot take all of it.
 * What a holder has first is of the reserve, where large bodies are never in the way of small ones.
 */
export class BodyBudget {
  readonly #reserve: Pool;
  readonly #shared: Pool;

  constructor({ total, reserve = { total: 64 * MiB, perHolder: MiB } }: BudgetLimits) {
    this.#reserve = new Pool(reserve.total, reserve.perHolder);
    this.#shared = new Pool(total, total);
  }

  /** For one request of a holder, such as a user's id. Release it when the request is over. */
  hold(holder: string): BodyHold {
    return new BodyHold(holder, this.#reserve, this.#shared);
  }
}

/** What one request holds of the budget. */
export class BodyHold {
  /** Whose request it is. */
  readonly holder: string;
  readonly #reserve: Pool;
  readonly #shared: Pool;
  #reservedBytes = 0;
  #sharedBytes = 0;
  #isOver = false;

  constructor(holder: string, reserve: Pool, shared: Pool) {
    this.holder = holder;
    this.#reserve = reserve;
    this.#shared = shared;
  }

  /** Asks for more bytes; false when they do not fit, or all was given back already. */
  take(bytes: number): boolean {
    const first = Math.min(bytes, this.#reserve.roomFor(this.holder));
    const rest = bytes - first;
    if (this.#isOver || (rest > 0 && rest > this.#shared.roomFor(this.holder))) return false;
    this.#reserve.add(this.holder, first);
    this.#shared.add(this.holder, rest);
    this.#reservedBytes += first;
    this.#sharedBytes += rest;
    return true;
  }

  /** Gives everything back, once and for all. */
  release(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reserve.add(this.holder, -this.#reservedBytes);
    this.#shared.add(this.holder, -this.#sharedBytes);
  }
}

/**
 * A number of bytes. No holder may have more of them than are free (dynamic thresholds: A. Choudhury and E. Hahne,
 * 1998): one alone gets half, two get a third each, and whoever comes new finds some.
 */
class Pool {
  readonly #perHolder: number;
  readonly #held = new Map<string, number>();
  #free: number;

  constructor(total: number, perHolder: number) {
    this.#perHolder = perHolder;
    this.#free = total;
  }

  /** How many more bytes a holder may have. */
  roomFor(holder: string): number {
    const held = this.#held.get(holder) ?? 0;
    return Math.max(0, Math.min(this.#perHolder - held, Math.floor((this.#free - held) / 2)));
  }

  add(holder: string, bytes: number): void {
    const held = (this.#held.get(holder) ?? 0) + bytes;
    this.#free -= bytes;
    if (held > 0) this.#held.set(holder, held);
    else this.#held.delete(holder);
  }
}
