import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { LastUsed } from '../../../src/windows/lastUsed.ts';
import { temporaryFolder } from './support.ts';

const fileOf = (folder: string) => join(folder, 'last-used.json');
const written = async (folder: string) => JSON.parse(await readFile(fileOf(folder), 'utf8'));

async function load(folder: string, known: Readonly<Record<string, number>> = {}): Promise<LastUsed> {
  const lastUsed = new LastUsed(folder);
  await lastUsed.load(known);
  return lastUsed;
}

test('the latest time of each is kept, from the file, from the other windows, and from what is used now', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(fileOf(folder), JSON.stringify({ a: 5, b: 5, c: 5 }));
  const lastUsed = await load(folder, { a: 6, b: 4, d: 1 });
  lastUsed.note({ c: 4, b: 7 });
  assert.deepEqual(lastUsed.times, { a: 6, b: 7, c: 5, d: 1 });
  await lastUsed.flush();
  assert.deepEqual(await written(folder), lastUsed.times);
  assert.equal((await stat(fileOf(folder))).mode & 0o077, process.platform === 'win32' ? 0o066 : 0);
  assert.deepEqual((await load(folder)).times, lastUsed.times);
});

test('a file that is missing, damaged or out of reach is no obstacle', async (t) => {
  const folder = await temporaryFolder(t);
  for (const text of [undefined, 'not JSON', '[]', '{"a":"yesterday"}', 'null']) {
    if (text !== undefined) await writeFile(fileOf(folder), text);
    assert.deepEqual((await load(folder, { a: 1 })).times, { a: 1 });
  }
  const nowhere = await load(join(fileOf(folder), 'below-a-file'));
  nowhere.note({ a: 1 });
  await nowhere.flush();
  assert.deepEqual(nowhere.times, { a: 1 });
});

test('it is written some seconds after a change, once, and not when nothing changed', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const folder = await temporaryFolder(t);
  const lastUsed = await load(folder);
  await lastUsed.flush();
  assert.deepEqual(await readdir(folder), []);
  lastUsed.note({ a: 1 });
  lastUsed.note({ a: 2 });
  t.mock.timers.tick(5_000);
  await until(async () => (await readdir(folder)).includes('last-used.json'));
  assert.deepEqual(await written(folder), { a: 2 });
});

test('what only the windows knew is written when one takes over', async (t) => {
  const folder = await temporaryFolder(t);
  await (await load(folder, { a: 1 })).flush();
  assert.deepEqual(await written(folder), { a: 1 });
});

test('who is gone is forgotten, in the file too', async (t) => {
  const folder = await temporaryFolder(t);
  const lastUsed = await load(folder, { a: 1, b: 2 });
  await lastUsed.flush();
  lastUsed.prune(new Set(['b', 'c']));
  assert.deepEqual(lastUsed.times, { b: 2 });
  await lastUsed.flush();
  assert.deepEqual(await written(folder), { b: 2 });
});

async function until(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise(setImmediate);
}
