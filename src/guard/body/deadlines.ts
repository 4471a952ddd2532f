import { MiB } from '../config.ts';

/** How long a body may take to come: so many seconds, and one more for each so many bytes of it. */
const firstSeconds = 30;
const bytesPerSecond = MiB / 4;

/** A body that is on its way. */
export interface ArrivingBody {
  /** How much of it came so far. */
  readonly bytes: number;
  /** Whether it waits for the guard, and not for its client. */
  readonly isWaiting: boolean;
  /** It did not come in time. Called once. */
  onLate(): void;
}

/** Ends bodies that trickle. One timer for all of them counts the seconds that each has taken. */
export class Deadlines {
  readonly #seconds = new Map<ArrivingBody, number>();
  #timer: NodeJS.Timeout | undefined;

  begin(body: ArrivingBody): void {
    this.#seconds.set(body, 0);
    this.#timer ??= setInterval(() => this.#count(), 1_000).unref();
  }

  /** It came, or will not. */
  end(body: ArrivingBody): void {
    this.#seconds.delete(body);
  }

  #count(): void {
    if (this.#seconds.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    for (const [body, seconds] of this.#seconds) {
      if (body.isWaiting) continue;
      this.#seconds.set(body, seconds + 1);
      if (seconds + 1 < firstSeconds + Math.floor(body.bytes / bytesPerSecond)) continue;
      this.#seconds.delete(body);
      body.onLate();
    }
  }
}
