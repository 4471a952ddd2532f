/**
 * What fair means here, and how it is measured.
 *
 * The machine makes a fixed number of tokens a second, and its N slots share that evenly; a request that runs cannot be
 * interrupted. What a user would have had alone at equal share is what the very same requests, at the very same times,
 * would have got from a machine with that user's share of the tokens a second (a fifth of them among five equals, which
 * is N/5 slots), one request after another and nobody else there. Requests on it are no faster than one slot of the
 * shared machine. (No share here is more than such a slot: whoever had a whole slot alone could keep to the bound only
 * if others could be interrupted.)
 *
 * A wait is measured twice. For users who come now and then, until the answer is complete: alone they would hardly ever
 * queue, so that a wait for the turn compares with nothing. For users who are busy enough to queue behind themselves,
 * until the turn comes as well, which takes the time of the answer itself out of both sides.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue, type QueueEvents } from '../../../src/guard/admission/fairQueue.ts';
import {
  alone,
  type Clock,
  type Crowd,
  createRandom,
  type Finished,
  median,
  type SimulatedQueue,
  type SimulatedRequest,
  simulate,
  type Visitor,
} from './simulation.ts';

const tokensPerSecond = 100;
const seconds = 100_000;
const bound = 1.5;

const untilAnswered = ({ at, endedAt }: Finished) => endedAt - at;
const untilTurn = ({ at, startedAt }: Finished) => startedAt - at;

type Measure = typeof untilAnswered;
type Random = () => number;

function fairQueue(slots: number, clock: Clock): FairQueue {
  const policy = { concurrency: slots, length: 256, maxWaitMs: Number.MAX_SAFE_INTEGER };
  return new FairQueue({ policy, now: () => clock.time * 1_000 });
}

/** The control: first come, first served. */
function plainQueue(slots: number): SimulatedQueue {
  const waiting: (() => void)[] = [];
  let running = 0;
  const start = () => {
    while (running < slots) {
      const next = waiting.shift();
      if (next === undefined) return;
      running += 1;
      next();
    }
  };
  return {
    enter(_entry, { onTurn }: QueueEvents) {
      const isRunning = running < slots;
      if (isRunning) running += 1;
      else waiting.push(onTurn);
      const done = () => {
        running -= 1;
        start();
      };
      return { isRunning, position: 0, yield: () => {}, done };
    },
  };
}

/** The guard expects at most four times as many. */
function requestOf(tokens: number, random: Random): SimulatedRequest {
  return { tokens: Math.round(tokens), estimate: Math.round(Math.round(tokens) * (1 + 3 * random())) };
}

const between = (least: number, most: number, random: Random): number => least + (most - least) * random();

/** From 100 to 1000 tokens, small ones as often as big ones on a scale of powers. */
const modestRequest = (random: Random): SimulatedRequest => requestOf(100 * 10 ** random(), random);

/** What the users of a case ask for. */
interface Requests {
  readonly modest: (random: Random) => SimulatedRequest;
  /** The mean of those, in tokens. */
  readonly modestTokens: number;
  readonly greedy: (random: Random) => SimulatedRequest;
}

/** Those of the greedy one are like the others', and every eighth a long one. */
const mixed: Requests = {
  modest: modestRequest,
  modestTokens: 900 / Math.log(10),
  greedy: (random) => (random() >= 1 / 8 ? modestRequest(random) : requestOf(between(1_000, 4_000, random), random)),
};

/** Those of the greedy one are all larger than the others', so that as many of them are worth more. */
const largeBesideSmall: Requests = {
  modest: (random) => requestOf(between(50, 150, random), random),
  modestTokens: 100,
  greedy: (random) => requestOf(between(200, 600, random), random),
};

/** Comes at random (a Poisson process), and takes so much of its share. */
function modestUser(
  id: string,
  weight: number,
  share: number,
  load: number,
  random: Random,
  { modest, modestTokens }: Requests = mixed,
): Visitor {
  const requests: (SimulatedRequest & { at: number })[] = [];
  const every = modestTokens / (tokensPerSecond * share * load);
  const pause = () => -every * Math.log(1 - random());
  for (let at = pause(); at < seconds; at += pause()) requests.push({ at, ...modest(random) });
  return { id, weight, requests };
}

interface Case {
  readonly slots: number;
  /** Of the greedy user, then of the modest ones. */
  readonly weights: readonly number[];
  /** How much the modest users take of their shares. */
  readonly load: number;
  readonly seed: number;
  readonly requests?: Requests;
}

/** How many times as long as alone each modest user waits, in the median. */
function waits(
  queueOf: (slots: number, clock: Clock) => SimulatedQueue,
  { slots, weights, load, seed, requests = mixed }: Case,
  measures: readonly Measure[],
): number[] {
  const random = createRandom(seed);
  const [greedyWeight = 1, ...modestWeights] = weights;
  const total = weights.reduce((sum, weight) => sum + weight);
  const greedy: Crowd = { id: 'greedy', weight: greedyWeight, size: 50, nextRequest: () => requests.greedy(random) };
  const visitors = modestWeights.map((weight, i) =>
    modestUser(`modest${i}`, weight, weight / total, load, random, requests),
  );
  const clock = { time: 0 };
  const machine = { tokensPerSecond, slots };
  const shared = simulate(queueOf(slots, clock), machine, { visitors, crowds: [greedy] }, seconds, clock);
  return visitors.flatMap((visitor) => {
    const own = alone(visitor, tokensPerSecond * Math.min(visitor.weight / total, 1 / slots));
    const mine = shared.filter(({ userId }) => userId === visitor.id);
    return measures.map((measure) => median(mine.map(measure)) / median(own.map(measure)));
  });
}

const equal = [1, 1, 1, 1, 1];
const cases: readonly (readonly [name: string, slots: number, weights: readonly number[]])[] = [
  ['one slot', 1, equal],
  ['four slots', 4, equal],
  ['one slot and weights', 1, [4, 1, 1, 2, 2]],
  ['four slots and weights', 4, [4, 1, 1, 2, 2]],
];

for (const [name, slots, weights] of cases) {
  for (const seed of [1, 2, 3]) {
    test(`with ${name}, modest users who come now and then wait as if alone at their share (seed ${seed})`, () => {
      const ratios = waits(fairQueue, { slots, weights, load: 0.1, seed }, [untilAnswered]);
      assert.ok(Math.max(...ratios) <= bound, `waits, compared with alone: ${ratios}`);
    });

    test(`with ${name}, modest users who are busy wait as if alone at their share (seed ${seed})`, () => {
      const ratios = waits(fairQueue, { slots, weights, load: 0.7, seed }, [untilAnswered, untilTurn]);
      assert.ok(Math.max(...ratios) <= bound, `waits, compared with alone: ${ratios}`);
    });

    test(`with ${name}, small requests wait as if alone at their share beside large ones, turn for turn (seed ${seed})`, () => {
      const users = { slots, weights, load: 0.7, seed, requests: largeBesideSmall };
      const ratios = waits(fairQueue, users, [untilAnswered, untilTurn]);
      assert.ok(Math.max(...ratios) <= bound, `waits, compared with alone: ${ratios}`);
    });
  }

  test(`with ${name}, first come first served is not fair: every modest user waits too long`, () => {
    const ratios = [
      ...waits(plainQueue, { slots, weights, load: 0.1, seed: 1 }, [untilAnswered]),
      ...waits(plainQueue, { slots, weights, load: 0.7, seed: 1 }, [untilAnswered, untilTurn]),
    ];
    assert.ok(Math.min(...ratios) > bound, `waits, compared with alone: ${ratios}`);
  });
}

/** The tokens each of these users got who all had twenty requests at any time. */
function shares(slots: number, crowds: readonly Omit<Crowd, 'size'>[], duration = 20_000): readonly number[] {
  const clock = { time: 0 };
  const users = { crowds: crowds.map((crowd) => ({ ...crowd, size: 20 })) };
  const finished = simulate(fairQueue(slots, clock), { tokensPerSecond, slots }, users, duration, clock);
  return crowds.map(({ id }) => {
    return finished.filter(({ userId }) => userId === id).reduce((sum, { tokens }) => sum + tokens, 0);
  });
}

function near(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual / expected - 1) <= tolerance, `${actual} is not near ${expected}`);
}

for (const slots of [1, 4, 8]) {
  test(`the tokens that users get go by their weights, with ${slots} slots`, () => {
    const random = createRandom(11);
    const nextRequest = () => modestRequest(random);
    const [one = 0, two = 0, three = 0] = shares(slots, [
      { id: 'one', weight: 1, nextRequest },
      { id: 'two', weight: 2, nextRequest },
      { id: 'three', weight: 3, nextRequest },
    ]);
    near(two / one, 2, 0.05);
    near(three / one, 3, 0.05);
  });

  test(`many small requests do not beat few big ones, with ${slots} slots (SEC-72)`, () => {
    const [small = 0, big = 0] = shares(slots, [
      { id: 'small', weight: 1, nextRequest: () => ({ tokens: 50, estimate: 50 }) },
      { id: 'big', weight: 1, nextRequest: () => ({ tokens: 2_000, estimate: 2_000 }) },
    ]);
    near(big / small, 1, 0.05);
  });

  test(`who asks for more than it uses gets as much as who does not, with ${slots} slots`, () => {
    const random = createRandom(12);
    const [exact = 0, lavish = 0] = shares(slots, [
      {
        id: 'exact',
        weight: 1,
        nextRequest: () => {
          const { tokens } = modestRequest(random);
          return { tokens, estimate: tokens };
        },
      },
      { id: 'lavish', weight: 1, nextRequest: () => ({ ...modestRequest(random), estimate: 8_192 }) },
    ]);
    near(lavish / exact, 1, 0.1);
  });
}

test('a higher priority goes first, whatever the others are owed', () => {
  const random = createRandom(13);
  const nextRequest = () => modestRequest(random);
  const clock = { time: 0 };
  const owner: Visitor = { ...modestUser('owner', 1, 1, 0.3, random), priority: 10 };
  const crowds = ['a', 'b', 'c'].map((id): Crowd => ({ id, weight: 100, size: 20, nextRequest }));
  const users = { visitors: [owner], crowds };
  const finished = simulate(fairQueue(1, clock), { tokensPerSecond, slots: 1 }, users, seconds, clock);
  const turns = finished.filter(({ userId }) => userId !== 'owner').map(({ startedAt }) => startedAt);
  const overtaken = finished.filter(({ userId, at, startedAt }) => {
    return userId === 'owner' && turns.some((turn) => turn > at && turn < startedAt);
  });
  assert.equal(overtaken.length, 0);
  assert.ok(finished.filter(({ userId, at, startedAt }) => userId === 'owner' && startedAt > at).length > 1_000);
});
