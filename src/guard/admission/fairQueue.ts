import type { QueuePolicy } from '../policy/policy.ts';
import { boundedTokens } from './tokens.ts';
import { Turns, type Waiting } from './turns.ts';

/** Who asks for a turn, and for how much. */
export interface QueueEntry extends Omit<Waiting, 'number'> {
  /** The user's name. */
  readonly name: string;
}

/**
 * What a place in the queue tells of itself: one of these, once; neither after it was given up. Neither may throw.
 */
export interface QueueEvents {
  /** Its turn has come. Not called for a place that had its turn when it entered. */
  onTurn(): void;
  /** It has waited for too long and is out of the queue. */
  onRefused(refusal: 'queue-timeout'): void;
}

/** A request's place in the queue, or among those that run. */
export interface Place {
  /** Its turn has come, and it is not over. */
  readonly isRunning: boolean;
  /** Its place among those that wait, from 1; 0 when it does not wait. Cheap as long as nothing moves. */
  readonly position: number;
  /** Another user's may run beside it until it is done. Does nothing to one that waits. */
  yield(): void;
  /** It is over, having used so many tokens of its prompt and its answer. One that waits leaves. */
  done(tokensUsed: number): void;
}

/** There is no place. */
export interface QueueRefusal {
  readonly refusal: 'queue-full';
  /** In seconds. */
  readonly retryAfter: number;
}

/** The queue as the Activity view and `GET /_guard/queue` show it. */
export interface QueueSnapshot {
  readonly concurrency: number;
  readonly running: number;
  /** How many wait in all. */
  readonly length: number;
  /** The first of those that were asked for, in the order of `Turns.order`. */
  readonly waiting: readonly QueuePosition[];
}

/** One that waits. */
export interface QueuePosition {
  readonly userId: string;
  readonly name: string;
  /** From 1. */
  readonly position: number;
  /** In milliseconds. */
  readonly waitedMs: number;
}

/** What a place asks of its queue. */
interface PlaceKeeper {
  positionOf(request: Request): number;
  yield(request: Request): void;
  done(request: Request, tokensUsed: number): void;
}

class Request implements Place, Waiting {
  readonly userId: string;
  readonly name: string;
  readonly priority: number;
  readonly weight: number;
  readonly tokens: number;
  readonly number: number;
  readonly since: number;
  readonly #keeper: PlaceKeeper;
  state: 'waiting' | 'running' | 'yielded' | 'over' = 'waiting';
  /** Of one that waits. */
  events: QueueEvents | undefined;

  constructor(
    keeper: PlaceKeeper,
    { userId, name, priority, weight, tokens }: QueueEntry,
    number: number,
    since: number,
  ) {
    this.#keeper = keeper;
    this.userId = userId;
    this.name = name;
    this.priority = priority;
    this.weight = weight;
    this.tokens = boundedTokens(tokens);
    this.number = number;
    this.since = since;
  }

  get isRunning(): boolean {
    return this.state === 'running';
  }

  get position(): number {
    return this.state === 'waiting' ? this.#keeper.positionOf(this) : 0;
  }

  yield(): void {
    this.#keeper.yield(this);
  }

  done(tokensUsed: number): void {
    this.#keeper.done(this, tokensUsed);
  }
}

/** In seconds: by then a place is likely free, and a client that hammers is slowed. */
const retryAfter = 5;

/** A snapshot names no more than a person would look through. */
const maxShown = 500;

/** What a timer takes at most; it would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Gives Ollama so many requests at once and lets the rest wait; see `Turns` for whose turn is next.
 *
 * No user may have more places than are free (dynamic thresholds: A. Choudhury and E. Hahne, 1998): one alone gets half
 * of them, two get a third each, and whoever comes new finds a place as long as there is one at all.
 */
export class FairQueue {
  #policy: QueuePolicy;
  readonly #now: () => number;
  readonly #turns = new Turns<Request>();
  readonly #keeper: PlaceKeeper = {
    positionOf: (request) => this.#order().get(request) ?? 0,
    yield: (request) => {
      if (request.state !== 'running') return;
      this.#turns.giveAway(request);
      this.#free(request, 'yielded');
    },
    done: (request, tokensUsed) => {
      if (request.state === 'waiting') this.#leave(request);
      else this.#done(request, tokensUsed);
    },
  };
  /** Those that wait, oldest first. */
  readonly #byAge = new Set<Request>();
  #positions: ReadonlyMap<Request, number> | undefined;
  #running = 0;
  #lastNumber = 0;
  #isStarting = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param now milliseconds on a clock that nobody sets; replaced in tests. */
  constructor(options: { readonly policy: QueuePolicy; readonly now?: () => number }) {
    this.#policy = options.policy;
    this.#now = options.now ?? (() => performance.now());
  }

  /** A place, which runs at once when there is room; or none. */
  enter(entry: QueueEntry, events: QueueEvents): Place | QueueRefusal {
    const { concurrency, length } = this.#policy;
    const hasRoom = this.#running < concurrency && !this.#turns.hasNext && !this.#turns.isHeld(entry.userId);
    const free = length - this.#turns.size;
    if (!hasRoom && this.#turns.waitingOf(entry.userId) >= free) return { refusal: 'queue-full', retryAfter };
    this.#lastNumber += 1;
    const request = new Request(this.#keeper, entry, this.#lastNumber, this.#now());
    this.#turns.add(request);
    if (hasRoom) this.#take();
    else this.#wait(request, events);
    return request;
  }

  /** Holds from now on: more start at once, and those that run are not stopped when fewer may. */
  setPolicy(policy: QueuePolicy): void {
    this.#policy = policy;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#start();
    this.#setTimer();
  }

  /**
   * Names at most 500 of those that wait.
   *
   * @param userId whose; everybody's unless given.
   */
  snapshot(userId?: string): QueueSnapshot {
    const shown = [...this.#order()].filter(([request]) => userId === undefined || request.userId === userId);
    const waiting = shown.slice(0, maxShown).map(([{ userId, name, since }, position]) => {
      return { userId, name, position, waitedMs: this.#now() - since };
    });
    return { concurrency: this.#policy.concurrency, running: this.#running, length: this.#turns.size, waiting };
  }

  #wait(request: Request, events: QueueEvents): void {
    request.events = events;
    this.#byAge.add(request);
    this.#positions = undefined;
    this.#setTimer();
  }

  /** One that waits; gives whom to tell why. */
  #leave(request: Request): QueueEvents | undefined {
    request.state = 'over';
    this.#turns.remove(request);
    return this.#waitsNoMore(request);
  }

  #done(request: Request, tokensUsed: number): void {
    if (request.state === 'over') return;
    this.#turns.settle(request, boundedTokens(tokensUsed));
    this.#free(request, 'over');
  }

  #free(request: Request, state: 'yielded' | 'over'): void {
    if (request.state === 'running') this.#running -= 1;
    request.state = state;
    this.#positions = undefined;
    this.#start();
  }

  /** One that starts may end another, or be over, before it returns: whoever is starting already goes on. */
  #start(): void {
    if (this.#isStarting) return;
    this.#isStarting = true;
    try {
      while (this.#running < this.#policy.concurrency) {
        const request = this.#take();
        if (request === undefined) return;
        this.#waitsNoMore(request)?.onTurn();
      }
    } finally {
      this.#isStarting = false;
    }
  }

  #take(): Request | undefined {
    const request = this.#turns.next();
    if (request === undefined) return undefined;
    request.state = 'running';
    this.#running += 1;
    return request;
  }

  /** Gives whom to tell, and lets go of them. */
  #waitsNoMore(request: Request): QueueEvents | undefined {
    const { events } = request;
    request.events = undefined;
    this.#byAge.delete(request);
    this.#positions = undefined;
    return events;
  }

  /** Fires when the oldest has waited for too long, or earlier: then it is set anew. */
  #setTimer(): void {
    const [oldest] = this.#byAge;
    if (oldest === undefined || this.#timer !== undefined) return;
    const due = oldest.since + this.#policy.maxWaitMs - this.#now();
    this.#timer = setTimeout(() => this.#expire(), Math.min(Math.max(1, due), maxTimerMs)).unref();
  }

  #expire(): void {
    this.#timer = undefined;
    for (const request of this.#byAge) {
      if (request.since + this.#policy.maxWaitMs > this.#now()) break;
      this.#leave(request)?.onRefused('queue-timeout');
    }
    this.#setTimer();
  }

  #order(): ReadonlyMap<Request, number> {
    this.#positions ??= new Map(this.#turns.order().map((request, index) => [request, index + 1]));
    return this.#positions;
  }
}
