/** What one that was added sits on. */
interface Seat<T> {
  readonly value: T;
  at: number;
}

/**
 * What comes and goes with each request, in no order. A Map or a Set would do, but for V8: the tables that they outgrow
 * still hold what was in them and lead on to the next (`OrderedHashTable::Rehash`). As soon as one of them is old, all
 * that follow grow old too, with every request that was in them, and are copied twice on the way. See docs/decisions.md.
 */
export class Roster<T> {
  readonly #seats: Seat<T>[] = [];

  /** @returns takes it out again; a second time does nothing. */
  add(value: T): () => void {
    const seat = { value, at: this.#seats.length };
    this.#seats.push(seat);
    return () => this.#leave(seat);
  }

  /** Those who are there now. */
  values(): T[] {
    return this.#seats.map(({ value }) => value);
  }

  /** The last one takes the seat that is free. */
  #leave(seat: Seat<T>): void {
    if (this.#seats[seat.at] !== seat) return;
    const last = this.#seats.pop();
    if (last === undefined || last === seat) return;
    last.at = seat.at;
    this.#seats[last.at] = last;
  }
}
