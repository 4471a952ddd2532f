import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { UsersFile } from '../../../src/cli/usersFile.ts';
import { userOf } from '../../support/usersOf.ts';

test('a change by another process is told of although one of our own failed before it was seen', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'data-file-'));
  t.after(() => rm(folder, { recursive: true }));
  const [ours, others] = [new UsersFile(folder), new UsersFile(folder)];
  await others.update(() => [userOf('alice', 1), userOf('bob', 2)]);
  const told: string[][] = [];
  const isTold = Promise.withResolvers<void>();
  await ours.read();
  const watch = ours.watch(
    (users) => {
      told.push(users.map(({ name }) => name));
      isTold.resolve();
    },
    (error) => isTold.reject(error),
  );
  t.after(() => watch.end());
  // The watch has looked once by then.
  await new Promise((resolve) => setTimeout(resolve, 50));
  await others.update(() => [userOf('bob', 2)]);
  const fails = () => {
    throw new Error('no such invite');
  };
  await assert.rejects(ours.update(fails), /no such invite/);
  await isTold.promise;
  assert.deepEqual(told, [['bob']]);
});
