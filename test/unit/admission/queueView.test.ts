import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue, type QueueSnapshot } from '../../../src/guard/admission/fairQueue.ts';
import { queueView } from '../../../src/guard/admission/queueView.ts';

const snapshot: QueueSnapshot = {
  concurrency: 4,
  running: 3,
  // More than a snapshot names.
  length: 501,
  waiting: [
    { userId: 'id-1', name: 'mia', position: 1, waitedMs: 61_400 },
    { userId: 'id-2', name: 'noa', position: 2, waitedMs: 600 },
    { userId: 'id-1', name: 'mia', position: 3, waitedMs: 0 },
  ],
};

test('a user sees how long the queue is, and of those in it its own requests alone', () => {
  assert.deepEqual(queueView(snapshot, { userId: 'id-1', seesAll: false }), {
    concurrency: 4,
    running: 3,
    waiting: 501,
    requests: [
      { user: 'mia', position: 1, waitedSeconds: 61 },
      { user: 'mia', position: 3, waitedSeconds: 0 },
    ],
  });
});

test('who waits for nothing, or has the name of another for its id, sees nobody', () => {
  for (const userId of ['id-3', 'mia', '']) {
    const { waiting, requests } = queueView(snapshot, { userId, seesAll: false });
    assert.deepEqual([waiting, requests], [501, []]);
  }
});

test('whoever may see all sees everybody by name, in order, and nobody by id', () => {
  const view = queueView(snapshot, { userId: 'id-3', seesAll: true });
  assert.deepEqual(
    view.requests.map(({ user, position }) => [user, position]),
    [
      ['mia', 1],
      ['noa', 2],
      ['mia', 3],
    ],
  );
  assert.ok(!JSON.stringify(view).includes('id-'));
});

test('whoever waits behind more than are shown sees its own requests at their places', () => {
  const queue = new FairQueue({ policy: { concurrency: 1, length: 2_000, maxWaitMs: 60_000 } });
  const events = { onTurn: () => {}, onRefused: () => {} };
  const enter = (userId: string) =>
    queue.enter({ userId, name: `${userId}'s name`, priority: 0, weight: 1, tokens: 100 }, events);
  // One runs.
  for (let i = 0; i <= 600; i++) enter(`user${i}`);
  enter('mia');
  enter('user600');
  enter('mia');
  const seenBy = (userId: string) => {
    const { waiting, requests } = queueView(queue.snapshot(userId), { userId, seesAll: false });
    assert.equal(waiting, 603);
    return requests;
  };
  assert.deepEqual(seenBy('mia'), [
    { user: "mia's name", position: 601, waitedSeconds: 0 },
    { user: "mia's name", position: 603, waitedSeconds: 0 },
  ]);
  assert.deepEqual(
    seenBy('user600').map(({ position }) => position),
    [600, 602],
  );
  assert.deepEqual(seenBy('stranger'), []);
  // Who sees all sees no more than a person would look through.
  assert.equal(queueView(queue.snapshot(), { userId: 'mia', seesAll: true }).requests.length, 500);
});
