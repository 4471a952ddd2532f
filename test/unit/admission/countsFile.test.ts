import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { KeptCount } from '../../../src/guard/admission/counters.ts';
import { CountsFile } from '../../../src/guard/admission/countsFile.ts';
import { temporaryFolder } from '../windows/support.ts';

const name = 'used-today.json';
const used = (tokens: number): KeptCount => ({ limit: 'tokensPerDay', key: 'user mia', used: tokens, endsAt: 9e12 });

async function scene(t: TestContext, folder?: string) {
  const problems: string[] = [];
  const counts: KeptCount[] = [];
  const path = folder ?? (await temporaryFolder(t));
  const file = new CountsFile({ folder: path, counts: () => counts, onProblem: (message) => problems.push(message) });
  return { file, folder: path, counts, problems };
}

test('what was counted is read by the next guard, from a file for its owner alone', async (t) => {
  const { file, folder, counts, problems } = await scene(t);
  assert.deepEqual(await file.read(), [], 'none yet');
  counts.push(used(7));
  file.writeLater();
  await file.flush();
  assert.equal((await stat(join(folder, name))).mode & 0o077, process.platform === 'win32' ? 0o066 : 0);
  assert.deepEqual(await (await scene(t, folder)).file.read(), [used(7)]);
  assert.deepEqual(problems, []);
});

test('a file that is damaged or out of reach is told of, and the day begins anew', async (t) => {
  const { file, folder, problems } = await scene(t);
  const damaged = [
    'not JSON',
    '[]',
    '{"version":2,"counts":[]}',
    JSON.stringify({ version: 1, counts: [{ ...used(7), used: '7' }] }),
    JSON.stringify({ version: 1, counts: [{ ...used(7), used: -7 }] }),
    '{"version":1,"counts":[{"limit":"tokensPerDay","key":"user mia","used":1e300,"endsAt":9000000000000}]}',
    JSON.stringify({ version: 1, counts: [{ ...used(7), limit: 'tokensPerMinute' }] }),
  ];
  for (const text of damaged) {
    await writeFile(join(folder, name), text);
    assert.deepEqual(await file.read(), []);
    assert.equal(problems.pop(), `${join(folder, name)} cannot be read (it is damaged): limits of a day begin anew`);
  }
  const nowhere = await scene(t, join(folder, name, 'below-a-file'));
  assert.deepEqual(await nowhere.file.read(), []);
  assert.match(nowhere.problems.join(), /cannot be read \(ENOTDIR\): limits of a day begin anew$/);
});

test('what is no file is neither read nor replaced, and one that is too large is not read', async (t) => {
  const { file, folder, counts, problems } = await scene(t);
  const path = join(folder, name);
  counts.push(used(7));
  const fails = async (reason: string) => {
    assert.deepEqual(await file.read(), []);
    file.writeLater();
    await file.flush();
    assert.deepEqual(problems.splice(0), [
      `${path} cannot be read (${reason}): limits of a day begin anew`,
      `${path} cannot be written (${reason}): after a restart limits of a day begin anew`,
    ]);
  };
  await mkdir(path);
  await fails('it is no file');
  assert.ok((await stat(path)).isDirectory());
  await rmdir(path);
  const large = await scene(t, folder);
  await writeFile(path, Buffer.alloc(4 * 1_024 * 1_024 + 1, ' '));
  assert.deepEqual(await large.file.read(), []);
  assert.match(large.problems.join(), /cannot be read \(it is too large\)/);
});

test('it is written some seconds after a change, once, and not when nothing changed', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { file, folder, counts } = await scene(t);
  await file.flush();
  assert.deepEqual(await readdir(folder), []);
  file.writeLater();
  counts.push(used(1));
  file.writeLater();
  t.mock.timers.tick(4_999);
  assert.deepEqual(await readdir(folder), []);
  t.mock.timers.tick(1);
  // Waits for what is being written, and writes nothing itself.
  await file.flush();
  assert.deepEqual(await file.read(), [used(1)]);
});

test('a file that cannot be written is told of once, until it can', async (t) => {
  const { file, folder, problems } = await scene(t, join(await temporaryFolder(t), 'not', 'there'));
  const write = async () => {
    file.writeLater();
    await file.flush();
  };
  await write();
  await write();
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /used-today\.json cannot be written \(ENOENT\): after a restart limits of a day/);
  await mkdir(folder, { recursive: true });
  // Without another count: what could not be written is tried again.
  await file.flush();
  assert.equal(JSON.parse(await readFile(join(folder, name), 'utf8')).version, 1);
});
