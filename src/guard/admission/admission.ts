import type { Refusal } from '../answers.ts';
import type { QueuePolicy } from '../policy/policy.ts';
import { Charge } from '../usage/charge.ts';
import type { Counters } from './counters.ts';
import { FairQueue, type Place, type QueueSnapshot } from './fairQueue.ts';
import { Limiter, type Outcome, type Slot } from './limiter.ts';
import type { BoundedEstimate, Caller, Held } from './types.ts';

/** What one request is thought to answer with when turns are shared out; what it really used is set right afterwards. */
const expectedOutputTokens = 1_024;

/** Limits and turns, for all requests of a guard that use a model. */
export class Admission {
  readonly #limiter: Limiter;
  readonly #queue: FairQueue;

  /** @param counters what was used before; nothing unless given. */
  constructor(policy: QueuePolicy, counters?: Counters) {
    this.#limiter = new Limiter(counters);
    this.#queue = new FairQueue({ policy });
  }

  /** Holds from now on, for those that wait too. */
  setPolicy(policy: QueuePolicy): void {
    this.#queue.setPolicy(policy);
  }

  /** @param userId whose requests are named; everybody's unless given. */
  queue(userId?: string): QueueSnapshot {
    return this.#queue.snapshot(userId);
  }

  /** Resolves when nothing is under way, and all that was used is counted. */
  idle(): Promise<void> {
    return this.#limiter.idle();
  }

  /** A request begins: within its caller's limits, before a byte of its body is read. */
  begin(caller: Caller): Permit | Refusal | Promise<Permit | Refusal> {
    const outcome = this.#limiter.begin(caller);
    return outcome instanceof Promise
      ? outcome.then((done) => this.#permit(caller, done))
      : this.#permit(caller, outcome);
  }

  #permit(caller: Caller, outcome: Outcome): Permit | Refusal {
    return 'held' in outcome ? refusalOf(outcome.held) : new Permit(caller, outcome.slot, this.#queue);
  }
}

/** One request on its way through limits and turns. */
export class Permit {
  readonly #caller: Caller;
  readonly #slot: Slot;
  readonly #queue: FairQueue;
  #place: Place | undefined;
  #isOver = false;
  /** What it used; whoever has the permit tells it how the request went. */
  readonly charge: Charge;

  constructor(caller: Caller, slot: Slot, queue: FairQueue) {
    this.#caller = caller;
    this.#slot = slot;
    this.#queue = queue;
    this.charge = new Charge({
      onSettled: (tokens) => {
        this.#isOver = true;
        this.#slot.end(tokens);
        this.#place?.done(tokens);
      },
    });
  }

  /** Whether the caller's tokens are limited, so that an answer needs a bound. */
  get limitsTokens(): boolean {
    return this.#slot.limitsTokens;
  }

  /** How much is left to the caller, as headers of the answer. */
  get headers(): Readonly<Record<string, string>> {
    return this.#slot.headers();
  }

  /** Where the request stands in the queue, from 1; 0 when it does not wait. */
  get position(): number {
    return this.#place?.position ?? 0;
  }

  /**
   * Sets tokens aside and waits for a turn. One whose client leaves is to be told to `charge`, and stays unanswered.
   *
   * @param onWait called when the turn does not come at once.
   * @returns undefined when the request may be sent, and when its client has left.
   */
  async turn(estimate: BoundedEstimate, onWait: () => void): Promise<Refusal | undefined> {
    const held = await this.#slot.reserve(estimate.most);
    if (held !== undefined) return refusalOf(held);
    // The client left meanwhile: nobody would ever give the place back.
    if (this.#isOver) return undefined;
    const { id: userId, name, priority, weight } = this.#caller;
    const tokens = estimate.prompt + Math.min(estimate.output, expectedOutputTokens);
    const turn = Promise.withResolvers<Refusal | undefined>();
    const place = this.#queue.enter(
      { userId, name, priority, weight, tokens },
      {
        onTurn: () => {
          this.#slot.count();
          turn.resolve(undefined);
        },
        onRefused: (refusal) => turn.resolve({ refusal, details: { headers: this.headers } }),
      },
    );
    if ('refusal' in place) {
      const { refusal, retryAfter } = place;
      this.forgive();
      return { refusal, details: { retryAfter, headers: this.headers } };
    }
    this.#place = place;
    if (place.isRunning) {
      this.#slot.count();
      return undefined;
    }
    onWait();
    return turn.promise;
  }

  /** The request is told to come again, and does not count as one. */
  forgive(): void {
    this.#slot.forgive();
  }

  /** Ollama has answered to the end, and has room for another; the client may be long in taking the rest. */
  answered(): void {
    this.#place?.done(this.charge.used);
  }

  /** Lets another user's go in its place, though it is not over: what it waits for is its reader. */
  yield(): void {
    this.#place?.yield();
  }
}

function refusalOf({ refusal, limit, retryAfter, headers }: Held): Refusal {
  return { refusal, details: { limit, retryAfter, headers } };
}
