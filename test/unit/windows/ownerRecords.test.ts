import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { GuardError } from '../../../src/guard/errors.ts';
import { createToken } from '../../../src/windows/handshake.ts';
import { OwnerRecords } from '../../../src/windows/ownerRecords.ts';
import { recordPath, temporaryFolder } from './support.ts';

const posixOnly = { skip: process.platform === 'win32' && 'Windows has no such permissions' };
const record = () => ({ pid: process.pid, port: 40_000, token: createToken() });
const permissions = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

test('of many that claim a generation one has it, and the others can read whose it is', async (t) => {
  const records = await OwnerRecords.open(await temporaryFolder(t));
  assert.deepEqual(await records.latest(), { generation: 0, record: undefined });
  const claims = Array.from({ length: 50 }, record);
  const outcomes = await Promise.all(claims.map((claim) => records.claim(1, claim)));
  assert.equal(outcomes.filter(Boolean).length, 1);
  assert.deepEqual(await records.latest(), { generation: 1, record: claims[outcomes.indexOf(true)] });
});

test('an owner sweeps away what came before and what killed windows left, and nothing else', async (t) => {
  const folder = await temporaryFolder(t);
  const records = await OwnerRecords.open(folder);
  await records.claim(1, record());
  await writeFile(join(folder, 'window-00000000-0000-4000-8000-000000000000.tmp'), '{"pi');
  await writeFile(join(folder, 'last-used.json'), '{}');
  await records.claim(2, record());
  assert.deepEqual((await readdir(folder)).sort(), ['last-used.json', 'window-2.json']);
});

test('who looked long ago does not come after an owner that is not the newest any more', async (t) => {
  const folder = await temporaryFolder(t);
  const records = await OwnerRecords.open(folder);
  const newest = record();
  await records.claim(5, newest);
  assert.equal(await records.claim(2, record()), false);
  assert.deepEqual(await readdir(folder), ['window-5.json']);
  assert.deepEqual(await records.latest(), { generation: 5, record: newest });
});

test('an owner that leaves takes its secret along and keeps its place in the order', async (t) => {
  const folder = await temporaryFolder(t);
  const records = await OwnerRecords.open(folder);
  await records.claim(1, record());
  await records.leave(1);
  assert.equal(await readFile(recordPath(folder, 1), 'utf8'), '');
  assert.deepEqual(await records.latest(), { generation: 1, record: undefined });
  await records.claim(2, record());
  await records.leave(1);
  assert.deepEqual(await readdir(folder), ['window-2.json']);
});

test('a damaged record is nobody’s', async (t) => {
  const folder = await temporaryFolder(t);
  const records = await OwnerRecords.open(folder);
  const good = record();
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '{}',
    JSON.stringify({ ...good, pid: 0 }),
    JSON.stringify({ ...good, pid: -1 }),
    JSON.stringify({ ...good, port: 70_000 }),
    JSON.stringify({ ...good, token: `${good.token}x` }),
    JSON.stringify({ padding: 'x'.repeat(2_000), ...good }),
    '\0'.repeat(200),
  ]) {
    await writeFile(recordPath(folder, 3), text);
    assert.deepEqual(await records.latest(), { generation: 3, record: undefined }, text);
  }
  await writeFile(recordPath(folder, 3), JSON.stringify({ ...good, more: 'from a later version' }));
  assert.deepEqual(await records.latest(), { generation: 3, record: good });
});

test('folder and records are for their user alone', posixOnly, async (t) => {
  const parent = await temporaryFolder(t);
  const folder = join(parent, 'a', 'b');
  await (await OwnerRecords.open(folder)).claim(1, record());
  assert.equal(await permissions(folder), '700');
  assert.equal(await permissions(recordPath(folder, 1)), '600');

  await chmod(folder, 0o777);
  await OwnerRecords.open(folder);
  assert.equal(await permissions(folder), '700');
});

test('a link is not an owner’s record', posixOnly, async (t) => {
  const folder = await temporaryFolder(t);
  const elsewhere = await temporaryFolder(t);
  await writeFile(recordPath(elsewhere, 1), JSON.stringify(record()));
  await symlink(recordPath(elsewhere, 1), recordPath(folder, 1));
  const records = await OwnerRecords.open(folder);
  assert.deepEqual(await records.latest(), { generation: 1, record: undefined });
});

test('a folder that cannot be used is said so', async (t) => {
  const parent = await temporaryFolder(t);
  const isUnavailable = (error: unknown) => GuardError.is(error, 'data-unavailable');
  await writeFile(join(parent, 'file'), '');
  await assert.rejects(OwnerRecords.open(join(parent, 'file')), isUnavailable);
  await assert.rejects(OwnerRecords.open(join(parent, 'file', 'folder')), isUnavailable);

  const folder = join(parent, 'folder');
  await mkdir(folder);
  const records = await OwnerRecords.open(folder);
  await rm(folder, { recursive: true });
  await assert.rejects(records.latest(), isUnavailable);
  await assert.rejects(records.claim(1, record()), isUnavailable);
});
