import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { ActivityTracker } from '../../../src/guard/usage/tracker.ts';

const request = { user: 'mia', method: 'POST', path: '/api/chat', address: '127.0.0.1' };

function response(): ServerResponse {
  return new ServerResponse(new IncomingMessage(new Socket()));
}

test('a request is under way until its response closes, with what was learnt of it', () => {
  const tracker = new ActivityTracker(() => {});
  const first = response();
  const second = response();
  tracker.begin(first, request);
  const track = tracker.begin(second, { ...request, user: 'adam' });
  track.sawModel('llama');
  track.counts(() => 3);
  const { active } = tracker.snapshot();
  assert.deepEqual(
    active.map(({ id, user, model, tokens }) => [id, user, model, tokens]),
    [
      [1, 'mia', undefined, 0],
      [2, 'adam', 'llama', 3],
    ],
  );
  assert.deepEqual(Object.keys(structuredClone(active[1] ?? {})).sort(), [
    'address',
    'id',
    'method',
    'model',
    'path',
    'startedAt',
    'tokens',
    'user',
  ]);

  first.statusCode = 404;
  first.end();
  first.emit('close');
  second.emit('close');
  const { active: left, done } = tracker.snapshot();
  assert.deepEqual(left, []);
  assert.deepEqual(
    done.map(({ id, outcome, status }) => [id, outcome, status]),
    [
      [2, 'cut', 200],
      [1, 'complete', 404],
    ],
  );
});

test('a model that a client names stays in its place: no line breaks, nothing unseen, nothing that turns text around', () => {
  const tracker = new ActivityTracker(() => {});
  tracker.begin(response(), request).sawModel('a\u202eb\u2066\n\u2028\u0007\ufeffc');
  assert.equal(tracker.snapshot().active[0]?.model, 'abc');
});

test('a request that waits has its place of now; one that runs, is refused or is over has none', () => {
  const tracker = new ActivityTracker(() => {});
  const res = response();
  const track = tracker.begin(res, request);
  const waiting = () => tracker.snapshot().active.map((active) => ('waiting' in active ? active.waiting : '-'))[0];
  assert.equal(waiting(), '-');
  let position = 3;
  track.waits(() => position);
  assert.equal(waiting(), 3);
  position = 1;
  assert.equal(waiting(), 1);
  // Out of the queue, and its refusal is on its way.
  position = 0;
  assert.equal(waiting(), '-');
  position = 2;
  track.runs();
  assert.equal(waiting(), '-');
  track.waits(() => position);
  res.emit('close');
  assert.equal('waiting' in (tracker.snapshot().done[0] ?? {}), false);
});

test('the last 50 that are over are kept, newest first', () => {
  const tracker = new ActivityTracker(() => {});
  for (let i = 0; i < 60; i++) {
    const res = response();
    tracker.begin(res, request);
    res.emit('close');
  }
  const ids = tracker.snapshot().done.map(({ id }) => id);
  assert.deepEqual([ids.length, ids[0], ids.at(-1)], [50, 60, 11]);
});

test('a request that is stopped says so; one that is not there cannot be', () => {
  const tracker = new ActivityTracker(() => {});
  const res = response();
  tracker.begin(res, request);
  assert.equal(tracker.stop(2), false);
  assert.equal(tracker.stop(1), true);
  assert.equal(res.req.socket.destroyed, true);
  res.emit('close');
  assert.equal(tracker.snapshot().done[0]?.outcome, 'stopped');
  assert.equal(tracker.stop(1), false);
});

test('connections are counted for each user and address, while their last request was signed in', () => {
  const tracker = new ActivityTracker(() => {});
  const [first, second, third] = [new Socket(), new Socket(), new Socket()];
  tracker.signedIn(first, 'mia', 'a');
  tracker.signedIn(first, 'mia', 'a');
  tracker.signedIn(second, 'mia', 'a');
  tracker.signedIn(third, 'mia', 'b');
  assert.deepEqual(tracker.snapshot().connected, [
    { user: 'mia', address: 'a', connections: 2 },
    { user: 'mia', address: 'b', connections: 1 },
  ]);
  tracker.signedIn(second, 'adam', 'a');
  tracker.signedOut(third);
  tracker.signedIn(third.destroy(), 'mia', 'b');
  assert.deepEqual(tracker.snapshot().connected, [
    { user: 'mia', address: 'a', connections: 1 },
    { user: 'adam', address: 'a', connections: 1 },
  ]);
});

test('a change is announced, and what changes nothing is not', () => {
  let changes = 0;
  const tracker = new ActivityTracker(() => changes++);
  const announced = (step: () => unknown) => {
    const before = changes;
    step();
    return changes - before;
  };
  const res = response();
  const socket = new Socket();
  const track = tracker.begin(res, request);
  assert.equal(changes, 1);
  assert.equal(
    announced(() => track.sawModel('m')),
    1,
  );
  assert.equal(
    announced(() => track.counts(() => 1)),
    0,
  );
  assert.equal(
    announced(() => track.progresses()),
    1,
  );
  assert.equal(
    announced(() => track.runs()),
    0,
  );
  assert.equal(
    announced(() => track.waits(() => 1)),
    1,
  );
  assert.equal(
    announced(() => track.runs()),
    1,
  );
  assert.equal(
    announced(() => tracker.signedOut(socket)),
    0,
  );
  assert.equal(
    announced(() => tracker.signedIn(socket, 'mia', 'a')),
    1,
  );
  assert.equal(
    announced(() => tracker.signedIn(socket, 'mia', 'a')),
    0,
  );
  assert.equal(
    announced(() => tracker.signedOut(socket)),
    1,
  );
  assert.equal(
    announced(() => res.emit('close')),
    1,
  );
});

test('a snapshot is bounded, and counts what it leaves out nowhere', () => {
  const tracker = new ActivityTracker(() => {});
  for (let i = 0; i < 600; i++) {
    tracker.begin(response(), request);
    tracker.signedIn(new Socket(), `user-${i}`, 'a');
  }
  tracker.signedIn(new Socket(), 'user-0', 'a');
  const { active, connected } = tracker.snapshot();
  assert.deepEqual([active.length, active[0]?.id, connected.length, connected[0]?.connections], [500, 1, 500, 2]);
});
