import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedQueue, QueueFullError } from '../../../src/guard/identity/boundedQueue.ts';

test('tasks run one after another, in order, also behind one that failed', async () => {
  const queue = new BoundedQueue({ total: 10, perKey: 10 });
  const log: string[] = [];
  const task = (name: string) => async () => {
    log.push(`${name} begins`);
    await Promise.resolve();
    log.push(`${name} ends`);
    if (name === 'a') throw new Error('a');
    return name;
  };
  const a = queue.run('k', task('a'));
  const b = queue.run('k', task('b'));
  await assert.rejects(a);
  assert.equal(await b, 'b');
  assert.deepEqual(log, ['a begins', 'a ends', 'b begins', 'b ends']);
});

test('there is no place beyond the bounds, and one again when a task is done', async () => {
  const queue = new BoundedQueue({ total: 3, perKey: 2 });
  const gate = Promise.withResolvers<void>();
  const wait = () => gate.promise;
  const running = [queue.run('a', wait), queue.run('a', wait)];
  assert.throws(() => queue.run('a', wait), QueueFullError, 'per key');
  running.push(queue.run('b', wait));
  assert.throws(() => queue.run('c', wait), QueueFullError, 'in all');
  assert.equal(queue.size, 3);
  gate.resolve();
  await Promise.all(running);
  await queue.run('a', wait);
  await Promise.resolve();
  assert.equal(queue.size, 0);
});
