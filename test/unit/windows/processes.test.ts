import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder, WindowProcesses } from './support.ts';

const becameOwner = (windows: WindowProcesses) => windows.all.filter(({ role }) => role === 'owner').length;

test('of twenty windows that open at once one is the owner, and all others talk with it', async (t) => {
  const windows = new WindowProcesses(t, await temporaryFolder(t));
  windows.open(20);
  const owner = await windows.areTogether();
  await windows.replace(owner);
  assert.equal(becameOwner(windows), 2);
  assert.ok(
    windows.running.every(({ joins }) => joins === 2),
    'all have joined once more, and once only',
  );
});

test('owners that are killed one after the other are replaced by exactly one each', async (t) => {
  const folder = await temporaryFolder(t);
  const windows = new WindowProcesses(t, folder);
  windows.open(7);
  let owner = await windows.areTogether();
  for (let round = 1; round <= 5; round++) {
    owner = await windows.replace(owner);
    assert.equal(becameOwner(windows), round + 1);
  }
  assert.deepEqual(await readdir(folder), ['window-6.json'], 'nothing else is left');
});

test('windows that are killed while they take over hold up nobody', async (t) => {
  const folder = await temporaryFolder(t);
  const windows = new WindowProcesses(t, folder);
  for (const point of ['before-link', 'after-link']) {
    const [window] = windows.open(1, point);
    await windows.until(() => window?.isRunning === false);
  }
  assert.equal((await readdir(folder)).length, 3, 'what both left behind');
  windows.open(3, 'before-link');
  windows.open(3, 'after-link');
  windows.open(3);
  await windows.until(() => windows.running.length > 0 && windows.running.every(({ role }) => role !== undefined));
  await windows.areTogether();
  assert.equal(becameOwner(windows), 1);
});

test('an owner that does not answer is waited for while it lives, and replaced when it is killed', {
  skip: process.platform === 'win32' && 'Windows cannot stop a process',
}, async (t) => {
  const windows = new WindowProcesses(t, await temporaryFolder(t));
  windows.open(2);
  const owner = await windows.areTogether();

  owner.signal('SIGSTOP');
  const [late] = windows.open(1);
  assert.ok(late !== undefined);
  await windows.until(() => late.looks >= 2);
  assert.equal(late.role, undefined);
  owner.signal('SIGCONT');
  assert.equal(await windows.areTogether(), owner);
  assert.ok(windows.all.every(({ joins }) => joins === 1));

  owner.signal('SIGSTOP');
  const [later] = windows.open(1);
  await windows.until(() => later !== undefined && later.looks >= 1);
  assert.notEqual(await windows.replace(owner), owner);
  assert.equal(becameOwner(windows), 2);
});
