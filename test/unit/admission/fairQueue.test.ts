import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FairQueue, type Place, type QueueEntry } from '../../../src/guard/admission/fairQueue.ts';
import type { QueuePolicy } from '../../../src/guard/policy/policy.ts';

const policy: QueuePolicy = { concurrency: 1, length: 10, maxWaitMs: 60_000 };

/** A queue whose requests write down what happens to them. */
function create(overrides: Partial<QueuePolicy> = {}) {
  // By the clock that tests can stop.
  const queue = new FairQueue({ policy: { ...policy, ...overrides }, now: () => Date.now() });
  const happened: string[] = [];
  const enter = (userId: string, overridden: Partial<QueueEntry> & { label?: string } = {}) => {
    const { label = userId, ...rest } = overridden;
    return queue.enter(
      { userId, name: `${userId}'s name`, priority: 0, weight: 1, tokens: 100, ...rest },
      { onTurn: () => happened.push(label), onRefused: (refusal) => happened.push(`${label} ${refusal}`) },
    );
  };
  const place = (...args: Parameters<typeof enter>): Place => {
    const entered = enter(...args);
    assert.ok(!('refusal' in entered));
    return entered;
  };
  return { queue, happened, enter, place };
}

test('a request runs at once while there is room, and is not told of it again', () => {
  const { happened, place, queue } = create({ concurrency: 2 });
  assert.ok(place('mia').isRunning);
  assert.ok(place('mia').isRunning);
  const third = place('mia');
  assert.equal(third.isRunning, false);
  assert.equal(third.position, 1);
  assert.deepEqual(happened, []);
  assert.equal(queue.snapshot().running, 2);
});

test('the one whose turn is next starts when one is done, once', () => {
  const { happened, place } = create();
  const first = place('mia');
  const second = place('noa');
  first.done(100);
  first.done(100);
  assert.deepEqual(happened, ['noa']);
  assert.ok(second.isRunning);
  assert.equal(first.isRunning, false);
});

test('of users who are owed the same, the one who came first goes first', () => {
  const { happened, place } = create();
  const running = place('mia');
  for (const user of ['noa', 'ole', 'pia']) place(user);
  running.done(100);
  assert.deepEqual(happened, ['noa']);
});

test('a colleague with one request does not wait behind the fifty of another', () => {
  const { happened, place } = create({ length: 200 });
  const running = place('greedy');
  for (let i = 0; i < 50; i++) place('greedy');
  const modest = place('modest');
  assert.equal(modest.position, 1);
  running.done(100);
  assert.deepEqual(happened, ['modest']);
});

test('what was really used counts, not what was thought', () => {
  const { happened, place } = create();
  const first = place('thrifty', { tokens: 1_000 });
  const second = place('other', { tokens: 10, label: 'other 1' });
  first.done(5);
  place('other', { label: 'other 2' });
  place('thrifty');
  second.done(10);
  assert.deepEqual(happened, ['other 1', 'thrifty']);
});

test('one who used more than was thought lets the other go first until that is made up for', () => {
  const { happened, place } = create();
  const places = new Map([['lavish 1', place('lavish', { label: 'lavish 1', tokens: 10 })]]);
  for (const label of ['lavish 2', 'lavish 3']) places.set(label, place('lavish', { label, tokens: 10 }));
  for (const label of ['thrifty 1', 'thrifty 2', 'thrifty 3'])
    places.set(label, place('thrifty', { label, tokens: 10 }));
  places.get('lavish 1')?.done(25);
  for (const turn of ['thrifty 1', 'thrifty 2', 'thrifty 3']) places.get(turn)?.done(10);
  assert.deepEqual(happened, ['thrifty 1', 'thrifty 2', 'thrifty 3', 'lavish 2']);
});

test('a debt is forgotten when nobody runs or waits any more', () => {
  const { happened, place } = create();
  place('lavish').done(1_000_000);
  const running = place('other');
  place('lavish');
  place('thrifty');
  running.done(1);
  assert.deepEqual(happened, ['lavish']);
});

test('no more than 1,000 users who have gone are remembered for their debts', () => {
  const { happened, place } = create({ concurrency: 2 });
  place('busy');
  for (let i = 0; i <= 1_000; i++) place(`user${i}`, { tokens: 1 }).done(1_000 + i);
  const running = place('busy');
  for (const user of ['user1', 'user0', 'user2']) place(user);
  running.done(100);
  assert.deepEqual(happened, ['user0']);
});

test('what was thought counts until it is known what was used', () => {
  const { happened, place } = create({ concurrency: 3 });
  place('big', { tokens: 1_000 });
  place('small', { tokens: 10 });
  const other = place('other');
  place('big');
  place('small');
  other.done(100);
  assert.deepEqual(happened, ['small']);
});

test('one who had nothing waiting while others did has saved up nothing', () => {
  const { place, queue } = create({ concurrency: 2, length: 100 });
  place('back', { tokens: 10 });
  let running = place('busy');
  for (let i = 0; i < 10; i++) {
    const next = place('busy');
    running.done(100);
    running = next;
  }
  for (let i = 0; i < 3; i++) place('busy');
  for (let i = 0; i < 3; i++) place('back');
  const users = queue.snapshot().waiting.map(({ userId }) => userId);
  assert.deepEqual(users, ['back', 'busy', 'back', 'busy', 'back', 'busy']);
});

test('one who used less than was thought is out of debt, and no more', () => {
  const { place, queue } = create({ concurrency: 2, length: 100 });
  const overrated = place('overrated', { tokens: 1_000 });
  let running = place('busy');
  for (let i = 0; i < 10; i++) {
    const next = place('busy');
    running.done(100);
    running = next;
  }
  for (let i = 0; i < 3; i++) place('overrated', { tokens: 1_000 });
  for (let i = 0; i < 3; i++) place('fresh', { tokens: 10 });
  overrated.done(1);
  assert.deepEqual(
    queue.snapshot().waiting.map(({ userId }) => userId),
    ['fresh', 'fresh', 'fresh', 'overrated', 'overrated'],
  );
});

test('one who has been away has saved up nothing', () => {
  const { happened, place } = create({ length: 100 });
  let running = place('busy');
  const queued = Array.from({ length: 20 }, (_, i) => place('busy', { label: `busy ${i}` }));
  for (const next of queued.slice(0, 10)) {
    running.done(100);
    running = next;
  }
  happened.length = 0;
  for (let i = 0; i < 5; i++) queued.push(place('back', { label: `back ${i}` }));
  const order = ['back 0', 'busy 10', 'back 1', 'busy 11'];
  for (const label of order) {
    running.done(100);
    running = queued.find((place) => place.isRunning) ?? running;
    assert.equal(happened.at(-1), label);
  }
});

test('a higher priority goes first', () => {
  const { happened, place } = create();
  const running = place('mia');
  place('noa');
  const owner = place('owner', { priority: 10 });
  assert.equal(owner.position, 1);
  running.done(100);
  assert.deepEqual(happened, ['owner']);
});

test('a user whose role has changed takes along what waits, and stands there as it stood', () => {
  const { place, queue } = create({ length: 100 });
  let running = place('mia', { tokens: 1_000 });
  for (let i = 0; i < 10; i++) {
    const next = place('mia', { tokens: 1_000 });
    running.done(1_000);
    running = next;
  }
  place('noa');
  place('ole', { priority: 5 });
  place('ole', { priority: 5 });
  place('mia');
  place('noa', { priority: 5 });
  assert.deepEqual(
    queue.snapshot().waiting.map(({ userId }) => userId),
    ['noa', 'ole', 'ole', 'noa', 'mia'],
  );
});

test('a client that leaves frees its place, once, and is told nothing', () => {
  const { happened, place, enter } = create({ length: 2 });
  const running = place('mia');
  const leaving = place('noa');
  place('ole');
  assert.deepEqual(enter('pia'), { refusal: 'queue-full', retryAfter: 5 });
  leaving.done(0);
  leaving.done(100);
  place('pia');
  assert.deepEqual(enter('qi'), { refusal: 'queue-full', retryAfter: 5 });
  running.done(100);
  assert.deepEqual(happened, ['ole']);
});

test('one that yields runs no more, another does, and it is settled when it is done', () => {
  const { happened, place, queue } = create();
  const running = place('mia');
  place('noa');
  running.yield();
  running.yield();
  assert.ok(!running.isRunning);
  assert.deepEqual(happened, ['noa']);
  place('mia');
  place('ole');
  const order = () => queue.snapshot().waiting.map(({ userId }) => userId);
  assert.deepEqual(order(), ['ole', 'mia']);
  running.done(0);
  running.done(10_000);
  assert.deepEqual(order(), ['mia', 'ole'], 'what it had paid beforehand is given back, once');
  assert.equal(queue.snapshot().running, 1);
});

test('a turn that was given away comes to others, and to its own user when it is over', () => {
  const { happened, place, queue } = create({ concurrency: 2 });
  const [slow, other] = [place('mia'), place('mia')];
  const order = () => queue.snapshot().waiting.map(({ userId }) => userId);
  slow.yield();
  const next = place('mia', { priority: 5 });
  assert.equal(next.isRunning, false, 'though there is room');
  assert.equal(next.position, 1);
  assert.ok(place('noa').isRunning, 'whoever comes is not held up by one that may not');
  place('ole');
  assert.deepEqual(order(), ['mia', 'ole']);
  other.done(100);
  assert.deepEqual(happened, ['ole'], 'of a lower priority');
  slow.done(100);
  assert.deepEqual([happened, queue.snapshot().running], [['ole'], 2]);
  place('pia');
  queue.setPolicy({ ...policy, concurrency: 3 });
  assert.deepEqual(happened, ['ole', 'mia']);
});

test('a user whose turns were given away waits for the last of them, also when it leaves', () => {
  const { happened, place, queue } = create({ concurrency: 2 });
  const slow = [place('mia'), place('mia')];
  const leaving = place('mia', { label: 'leaving' });
  for (const one of slow) one.yield();
  place('mia');
  slow[0]?.done(1);
  leaving.done(0);
  assert.deepEqual(happened, []);
  slow[1]?.done(1);
  assert.deepEqual(happened, ['mia']);
  assert.deepEqual([queue.snapshot().running, queue.snapshot().length], [1, 0]);
});

test('one that waits has nothing to yield', () => {
  const { happened, place } = create();
  place('mia');
  place('noa').yield();
  assert.deepEqual(happened, []);
});

test('one user cannot take all places, and whoever comes new finds one', () => {
  const { place, enter } = create({ length: 12 });
  place('running');
  const places = (user: string) => {
    let count = 0;
    while (!('refusal' in enter(user))) count += 1;
    return count;
  };
  assert.equal(places('greedy'), 6);
  assert.equal(places('second'), 3);
  assert.equal(places('third'), 2);
  assert.equal(places('fourth'), 1);
  assert.equal(places('fifth'), 0);
});

test('one who waits for too long is refused and leaves its place', (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000 });
  const { happened, place, queue } = create();
  const running = place('mia');
  const early = place('noa');
  t.mock.timers.tick(30_000);
  place('ole');
  t.mock.timers.tick(29_999);
  assert.deepEqual(happened, []);
  t.mock.timers.tick(1);
  assert.deepEqual(happened, ['noa queue-timeout']);
  assert.equal(early.position, 0);
  early.done(0);
  assert.deepEqual(queue.snapshot().waiting, [{ userId: 'ole', name: "ole's name", position: 1, waitedMs: 30_000 }]);
  t.mock.timers.tick(30_000);
  assert.deepEqual(happened, ['noa queue-timeout', 'ole queue-timeout']);
  running.done(100);
  assert.ok(place('pia').isRunning);
});

test('a clock that is set forward ends no wait', (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'] });
  const queue = new FairQueue({ policy });
  const refused = t.mock.fn();
  for (const userId of ['mia', 'noa']) {
    queue.enter(
      { userId, name: userId, priority: 0, weight: 1, tokens: 100 },
      { onTurn: () => {}, onRefused: refused },
    );
  }
  t.mock.timers.setTime(86_400_000);
  queue.setPolicy(policy);
  t.mock.timers.tick(1);
  assert.equal(refused.mock.callCount(), 0);
});

test('one who left or had its turn is not refused for its age', (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'] });
  const { happened, place } = create();
  const running = place('mia');
  place('noa');
  place('ole').done(0);
  running.done(100);
  t.mock.timers.tick(10 * 60_000);
  assert.deepEqual(happened, ['noa']);
});

test('a wait that is longer than a timer lasts is not cut short', (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'] });
  const timer = t.mock.method(globalThis, 'setTimeout');
  const { happened, place } = create({ maxWaitMs: 2 ** 31 + 1_000 });
  place('mia');
  place('noa');
  t.mock.timers.tick(2 ** 31 - 1);
  assert.deepEqual(happened, []);
  t.mock.timers.tick(1_001);
  assert.deepEqual(happened, ['noa queue-timeout']);
  assert.deepEqual(
    timer.mock.calls.map(({ arguments: [, ms] }) => ms),
    [2 ** 31 - 1, 1_001],
  );
});

test('a policy that changes holds at once: more start, fewer start no more, and waits may be shorter', (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'] });
  const { queue, happened, place } = create();
  const places = ['a', 'b', 'c', 'd', 'e'].map((user) => place(user));
  queue.setPolicy({ ...policy, concurrency: 3 });
  assert.deepEqual(happened, ['b', 'c']);
  queue.setPolicy({ ...policy, concurrency: 1 });
  places[0]?.done(100);
  places[1]?.done(100);
  assert.deepEqual(happened, ['b', 'c']);
  places[2]?.done(100);
  assert.deepEqual(happened, ['b', 'c', 'd']);
  queue.setPolicy({ ...policy, maxWaitMs: 1_000 });
  t.mock.timers.tick(1_000);
  assert.deepEqual(happened, ['b', 'c', 'd', 'e queue-timeout']);
});

test('one that comes while others are starting does not go before them', () => {
  const queue = new FairQueue({ policy });
  const entry = (userId: string) => ({ userId, name: userId, priority: 0, weight: 1, tokens: 1 });
  const started: string[] = [];
  const enter = (userId: string, onTurn = () => {}) => {
    const place = queue.enter(entry(userId), {
      onTurn: () => {
        started.push(userId);
        onTurn();
      },
      onRefused: () => {},
    });
    if ('isRunning' in place && place.isRunning) started.push(userId);
  };
  enter('mia');
  enter('noa', () => enter('late'));
  enter('ole');
  queue.setPolicy({ ...policy, concurrency: 3 });
  assert.deepEqual(started, ['mia', 'noa', 'ole']);
});

test('requests that are over as soon as they start do not pile up calls, and none is passed over', () => {
  const queue = new FairQueue({ policy: { ...policy, length: 100_000 } });
  const entry = { userId: 'mia', name: 'mia', priority: 0, weight: 1, tokens: 1 };
  const running = queue.enter(entry, { onTurn: () => {}, onRefused: () => {} });
  let started = 0;
  for (let i = 0; i < 40_000; i++) {
    const place = queue.enter(entry, {
      onTurn: () => {
        started += 1;
        if (!('refusal' in place)) place.done(1);
      },
      onRefused: () => {},
    });
  }
  assert.ok(!('refusal' in running));
  running.done(1);
  assert.equal(started, 40_000);
});

test('estimates and counts that are no numbers harm nobody else', () => {
  const { happened, place } = create();
  const bad = place('bad', { tokens: Number.NaN });
  const places = [place('bad', { tokens: Number.POSITIVE_INFINITY }), place('good'), place('good')];
  bad.done(Number.NaN);
  assert.deepEqual(happened, ['good']);
  places[1]?.done(100);
  assert.deepEqual(happened, ['good', 'good']);
});

test('a snapshot shows who waits in the order of turns, and no more than 500', () => {
  const { queue, place } = create({ length: 10_000, concurrency: 2 });
  for (let i = 0; i < 1_000; i++) place(`user${i}`);
  const { concurrency, running, length, waiting } = queue.snapshot();
  assert.deepEqual({ concurrency, running, length }, { concurrency: 2, running: 2, length: 998 });
  assert.equal(waiting.length, 500);
  assert.deepEqual(
    waiting.map(({ position, userId }) => [position, userId]),
    waiting.map((_, i) => [i + 1, `user${i + 2}`]),
  );
});

/** What the model knows of a request. */
interface Modelled {
  readonly place: Place;
  readonly number: number;
  state: 'waiting' | 'running' | 'over';
}

/** The queue beside what must be true of it. */
class Model {
  policy: QueuePolicy;
  readonly queue: FairQueue;
  readonly requests: Modelled[] = [];
  /** Numbers of those whose turn came, as they were told. */
  readonly turns: number[] = [];

  constructor(concurrency: number, length: number) {
    this.policy = { concurrency, length, maxWaitMs: 1_000_000 };
    this.queue = new FairQueue({ policy: this.policy });
  }

  enter(user: number, priority: number, weight: number, tokens: number): void {
    const number = this.requests.length;
    const holder: { request?: Modelled } = {};
    const waiting = this.waiting.length;
    const place = this.queue.enter(
      { userId: `u${user}`, name: `u${user}`, priority, weight, tokens },
      {
        onTurn: () => {
          assert.equal(holder.request?.state, 'waiting', 'started twice, or though it had left');
          if (holder.request) holder.request.state = 'running';
          this.turns.push(number);
        },
        onRefused: () => assert.fail('nobody waited for too long'),
      },
    );
    if ('refusal' in place) {
      assert.ok(this.running.length >= this.policy.concurrency, 'refused though a slot was free');
      assert.ok(waiting > 0 || this.policy.length === 0, 'refused though nobody waited');
      return;
    }
    holder.request = { place, number, state: place.isRunning ? 'running' : 'waiting' };
    if (!place.isRunning) assert.ok(waiting < this.policy.length, 'waits though there was no place');
    this.requests.push(holder.request);
  }

  end(index: number, tokens: number): void {
    const request = this.requests[index % Math.max(1, this.requests.length)];
    if (request === undefined) return;
    // Before it is told: others start meanwhile.
    request.state = 'over';
    request.place.done(tokens);
    request.place.done(tokens);
  }

  leave(index: number): void {
    const request = this.requests[index % Math.max(1, this.requests.length)];
    if (request?.state !== 'waiting') return;
    request.state = 'over';
    request.place.done(0);
  }

  setPolicy(concurrency: number, length: number): void {
    this.policy = { ...this.policy, concurrency, length };
    this.queue.setPolicy(this.policy);
  }

  get running() {
    return this.requests.filter(({ state }) => state === 'running');
  }

  get waiting() {
    return this.requests.filter(({ state }) => state === 'waiting');
  }

  check(mostRunning: number): void {
    const { running, length, waiting } = this.queue.snapshot();
    assert.equal(running, this.running.length);
    assert.equal(length, this.waiting.length);
    assert.ok(running <= Math.max(mostRunning, this.policy.concurrency), 'more run than may');
    assert.ok(length === 0 || running >= this.policy.concurrency, 'somebody waits though a slot is free');
    for (const { place, state } of this.requests) {
      assert.equal(place.isRunning, state === 'running');
      assert.equal(place.position > 0, state === 'waiting');
    }
    assert.deepEqual(
      this.waiting.map(({ place }) => place.position).sort((a, b) => a - b),
      waiting.map(({ position }) => position),
    );
  }
}

const entering = fc.record({
  kind: fc.constant('enter' as const),
  user: fc.nat(4),
  priority: fc.constantFrom(0, 0, 0, 1),
  weight: fc.integer({ min: 1, max: 3 }),
  tokens: fc.constantFrom(0, 10, 10, 100, 100, 500, 2_000),
});
const ending = fc.record({ kind: fc.constant('end' as const), index: fc.nat(), tokens: fc.nat(2_000) });
const leaving = fc.record({ kind: fc.constant('leave' as const), index: fc.nat() });
const changing = fc.record({
  kind: fc.constant('policy' as const),
  concurrency: fc.integer({ min: 1, max: 4 }),
  length: fc.integer({ min: 1, max: 12 }),
});

const operation = fc.oneof(
  { weight: 4, arbitrary: entering },
  { weight: 3, arbitrary: ending },
  { weight: 1, arbitrary: leaving },
  { weight: 1, arbitrary: changing },
);
const crowding = fc.oneof(
  { weight: 6, arbitrary: entering },
  { weight: 2, arbitrary: ending },
  { weight: 1, arbitrary: leaving },
);

type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

function apply(model: Model, op: Operation): void {
  const runningBefore = model.running.length;
  if (op.kind === 'enter') model.enter(op.user, op.priority, op.weight, op.tokens);
  else if (op.kind === 'end') model.end(op.index, op.tokens);
  else if (op.kind === 'leave') model.leave(op.index);
  else model.setPolicy(op.concurrency, op.length);
  model.check(runningBefore);
}

test('whatever happens: never more than may run, none lost or started twice, nobody waits while a slot is free', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 100 }), (operations) => {
      const model = new Model(2, 6);
      for (const op of operations) apply(model, op);
      // All end in time: each that was let in has had its turn, or has left.
      for (let i = 0; model.running.length > 0; i++) {
        assert.ok(i <= operations.length, 'some never end');
        model.end(model.requests.indexOf(model.running[0] as Modelled), 100);
        model.check(model.running.length);
      }
      assert.deepEqual(model.waiting, []);
    }),
    { numRuns: 500 },
  );
});

test('whatever happened: those who wait start in the order in which they are shown', () => {
  fc.assert(
    fc.property(fc.array(crowding, { minLength: 30, maxLength: 60 }), (operations) => {
      const model = new Model(1, 100);
      for (const op of operations) apply(model, op);
      const shown = model.waiting.toSorted((a, b) => a.place.position - b.place.position).map(({ number }) => number);
      model.turns.length = 0;
      model.setPolicy(1_000, 100);
      assert.deepEqual(model.turns, shown);
    }),
    { numRuns: 300 },
  );
});
