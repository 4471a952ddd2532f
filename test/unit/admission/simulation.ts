import type { Place, QueueEntry, QueueEvents, QueueRefusal } from '../../../src/guard/admission/fairQueue.ts';

/** The part of the queue that a simulation needs, so that others can stand in for it. */
export interface SimulatedQueue {
  enter(entry: QueueEntry, events: QueueEvents): Place | QueueRefusal;
}

/** One request of a simulated user. */
export interface SimulatedRequest {
  readonly tokens: number;
  /** What the guard would think beforehand. */
  readonly estimate: number;
}

/** A user whose requests come at times of their own, whatever becomes of those before. */
export interface Visitor {
  readonly id: string;
  readonly weight: number;
  readonly priority?: number;
  readonly requests: readonly (SimulatedRequest & { readonly at: number })[];
}

/** A user who always has so many requests that wait or run: when one ends the next one comes. */
export interface Crowd {
  readonly id: string;
  readonly weight: number;
  readonly priority?: number;
  readonly size: number;
  nextRequest(): SimulatedRequest;
}

/** What became of a request; times in seconds. */
export interface Finished {
  readonly userId: string;
  readonly tokens: number;
  readonly at: number;
  readonly startedAt: number;
  readonly endedAt: number;
}

/** A machine that makes so many tokens a second, and as many slots which share that evenly. */
export interface Machine {
  readonly tokensPerSecond: number;
  readonly slots: number;
}

/** A clock that stands until it is set. */
export interface Clock {
  time: number;
}

interface Event {
  readonly at: number;
  readonly happen: () => void;
}

/**
 * Runs users against a queue in simulated time, event by event.
 *
 * @param seconds after which nobody comes any more, and what has not ended is left out.
 */
export function simulate(
  queue: SimulatedQueue,
  machine: Machine,
  users: { readonly visitors?: readonly Visitor[]; readonly crowds?: readonly Crowd[] },
  seconds: number,
  clock: Clock = { time: 0 },
): readonly Finished[] {
  const events: Event[] = [];
  const finished: Finished[] = [];
  const schedule = (at: number, happen: () => void) => {
    const index = events.findLastIndex((event) => event.at <= at);
    events.splice(index + 1, 0, { at, happen });
  };
  const slotSpeed = machine.tokensPerSecond / machine.slots;

  const come = (user: Visitor | Crowd, { tokens, estimate }: SimulatedRequest, onEnd: () => void) => {
    const at = clock.time;
    const { id: userId, weight, priority = 0 } = user;
    const run = () => {
      const startedAt = clock.time;
      schedule(startedAt + tokens / slotSpeed, () => {
        finished.push({ userId, tokens, at, startedAt, endedAt: clock.time });
        // The next of a crowd is there before the slot is free: nothing is given away to it.
        onEnd();
        if (!('refusal' in place)) place.done(tokens);
      });
    };
    const place = queue.enter(
      { userId, name: userId, weight, priority, tokens: estimate },
      { onTurn: run, onRefused: () => {} },
    );
    if (!('refusal' in place) && place.isRunning) run();
  };

  for (const visitor of users.visitors ?? []) {
    const follow = (index: number) => {
      const request = visitor.requests[index];
      if (request === undefined) return;
      schedule(request.at, () => {
        come(visitor, request, () => {});
        follow(index + 1);
      });
    };
    follow(0);
  }
  for (const crowd of users.crowds ?? []) {
    const next = () => come(crowd, crowd.nextRequest(), next);
    for (let i = 0; i < crowd.size; i++) schedule(0, next);
  }
  for (let event = events.shift(); event !== undefined && event.at <= seconds; event = events.shift()) {
    clock.time = event.at;
    event.happen();
  }
  return finished;
}

/** The same visitor with a machine of its own, one request after another. */
export function alone({ id, requests }: Visitor, tokensPerSecond: number): readonly Finished[] {
  let free = 0;
  return requests.map(({ at, tokens }) => {
    const startedAt = Math.max(at, free);
    free = startedAt + tokens / tokensPerSecond;
    return { userId: id, tokens, at, startedAt, endedAt: free };
  });
}

/** Random numbers from 0 up to 1, the same ones for the same seed (xorshift, G. Marsaglia, 2003). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** The middle one, or the higher of two. */
export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}
