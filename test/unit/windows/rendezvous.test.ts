import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs, { readdir, readFile, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join as joinPath } from 'node:path';
import { test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import { GuardError } from '../../../src/guard/errors.ts';
import type { ControlChannel } from '../../../src/windows/channel.ts';
import { createToken } from '../../../src/windows/handshake.ts';
import { join, type Membership } from '../../../src/windows/rendezvous.ts';
import { Signal } from '../../support/signal.ts';
import {
  deadPid,
  followHere,
  joinHere,
  ownHere,
  readRecord,
  recordPath,
  startForeignProgram,
  temporaryFolder,
  writeRecord,
} from './support.ts';

const message = (channel: ControlChannel) => new Promise<unknown>((resolve) => channel.on('message', resolve));
const ended = (channel: ControlChannel) => new Promise<void>((resolve) => channel.onClose(resolve));

test('followers that come before they are asked for are not lost, nor what they say', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await ownHere(t, folder);
  const followers = await Promise.all([followHere(t, folder), followHere(t, folder)]);
  for (const [index, { channel }] of followers.entries()) channel.postMessage(index);
  const heard: unknown[] = [];
  const changed = new Signal();
  owner.onFollower((channel) =>
    channel.on('message', (said) => {
      heard.push(said);
      changed.notify();
      channel.postMessage('welcome');
    }),
  );
  await changed.until(() => heard.length === 2 || undefined);
  assert.deepEqual(heard.sort(), [0, 1]);
  for (const { channel } of followers) assert.equal(await message(channel), 'welcome');
});

test('an owner that leaves says its last words, and its place is free', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await ownHere(t, folder);
  owner.onFollower((channel) => channel.postMessage('goodbye'));
  const follower = await followHere(t, folder);
  const lastWords = message(follower.channel);
  assert.equal(await lastWords, 'goodbye');
  await Promise.all([owner.close(), ended(follower.channel)]);
  await owner.close();
  assert.equal(await readFile(recordPath(folder, 1), 'utf8'), '');
  await ownHere(t, folder);
  assert.deepEqual(await readdir(folder), ['window-2.json']);
});

test('every owner has a secret of its own', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await ownHere(t, folder);
  const first = await readRecord(folder, 1);
  await owner.close();
  await ownHere(t, folder);
  assert.notEqual((await readRecord(folder, 2)).token, first.token);
});

test('a window of another version is told to reload, and the owner goes on', async (t) => {
  const folder = await temporaryFolder(t);
  const owner = await ownHere(t, folder);
  const followers: ControlChannel[] = [];
  owner.onFollower((channel) => followers.push(channel));
  await assert.rejects(join({ folder, protocol: 2 }), (error) => {
    assert.ok(GuardError.is(error, 'other-version'));
    assert.match(error.message, /Reload all windows/);
    return true;
  });
  assert.equal(followers.length, 0);
  await followHere(t, folder);
});

test('a damaged record is taken over from', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(recordPath(folder, 1), '{"pid":');
  await ownHere(t, folder);
  assert.deepEqual(await readdir(folder), ['window-2.json']);
});

test('a foreign program on the recorded port is no owner, though the recorded process lives', async (t) => {
  const folder = await temporaryFolder(t);
  const program = await startForeignProgram(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const token = createToken();
  await writeRecord(folder, 1, { pid: process.pid, port: program.port, token });
  await ownHere(t, folder);
  assert.equal(program.sockets.length, 1);
  assert.ok(!program.received().includes(token));
});

test('a program that hangs up is no owner when the recorded process is gone, or when it keeps doing so', async (t) => {
  const folder = await temporaryFolder(t);
  const program = await startForeignProgram(
    t,
    () => undefined,
    (socket) => socket.destroy(),
  );
  await writeRecord(folder, 1, { pid: await deadPid(), port: program.port, token: createToken() });
  await (await ownHere(t, folder)).close();
  assert.equal(program.sockets.length, 1);

  await writeRecord(folder, 3, { pid: process.pid, port: program.port, token: createToken() });
  await ownHere(t, folder);
  assert.equal(program.sockets.length, 6);
});

test('a silent owner is waited for while its process lives', async (t) => {
  const folder = await temporaryFolder(t);
  const looked = new Signal();
  const kill = t.mock.method(process, 'kill', () => {
    looked.notify();
    return true;
  });
  const program = await startForeignProgram(t, () => undefined);
  await writeRecord(folder, 1, { pid: process.pid, port: program.port, token: createToken() });
  const joined = joinHere(t, folder);
  await looked.until(() => kill.mock.callCount() >= 2 || undefined);
  assert.deepEqual(await readdir(folder), ['window-1.json']);
  assert.equal(program.sockets.length, 1, 'it waits where it is, and fills no queue');
  program.close();
  assert.equal((await joined).role, 'owner');
});

test('a silent program is no owner when the recorded process is gone', async (t) => {
  const folder = await temporaryFolder(t);
  const program = await startForeignProgram(t, () => undefined);
  await writeRecord(folder, 1, { pid: await deadPid(), port: program.port, token: createToken() });
  await ownHere(t, folder);
});

test("a silent program is no owner when the recorded process is another user's", async (t) => {
  if (process.platform === 'win32') return t.skip('Windows says the same of elevated processes');
  const folder = await temporaryFolder(t);
  t.mock.method(process, 'kill', () => {
    throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
  });
  const program = await startForeignProgram(t, () => undefined);
  await writeRecord(folder, 1, { pid: process.pid, port: program.port, token: createToken() });
  await ownHere(t, folder);
});

test('a window that closes while it waits gives up at once', async (t) => {
  const folder = await temporaryFolder(t);
  const program = await startForeignProgram(t, () => undefined);
  await writeRecord(folder, 1, { pid: process.pid, port: program.port, token: createToken() });
  const closing = new AbortController();
  const joined = join({ folder, protocol: 1, signal: closing.signal });
  await program.changed.until(() => program.received().length > 0 || undefined);
  const reason = new Error('the window closes');
  closing.abort(reason);
  await assert.rejects(joined, (error) => error === reason);
  const [socket] = program.sockets;
  if (socket?.closed === false) await once(socket, 'close');
  assert.deepEqual(await readdir(folder), ['window-1.json']);
});

test('whenever a window gives up, it leaves nobody in its place', async (t) => {
  for (let ticks = 0; ticks < 40; ticks++) {
    const folder = await temporaryFolder(t);
    const closing = new AbortController();
    let joined: Membership | undefined;
    const joining = join({ folder, protocol: 1, signal: closing.signal }).then((membership) => {
      joined = membership;
    });
    for (let i = 0; i < ticks && joined === undefined; i++) await tick();
    closing.abort();
    if (joined === undefined) await assert.rejects(joining, { name: 'AbortError' });
    else if (joined.role === 'owner') await joined.close();
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith('.tmp')),
      [],
    );
    await (await ownHere(t, folder)).close();
  }
});

test('a folder that cannot be used is said so, and nothing is left behind', async (t) => {
  const folder = await temporaryFolder(t);
  const isUnavailable = (error: unknown) => GuardError.is(error, 'data-unavailable');
  await writeFile(joinPath(folder, 'file'), '');
  await assert.rejects(join({ folder: joinPath(folder, 'file'), protocol: 1 }), isUnavailable);

  const noLinks = Object.assign(new Error('not supported'), { code: 'ENOTSUP' });
  const link = t.mock.method(fs, 'link', () => Promise.reject(noLinks));
  syncBuiltinESMExports();
  await assert.rejects(join({ folder, protocol: 1 }), isUnavailable);
  link.mock.restore();
  syncBuiltinESMExports();
  assert.deepEqual(await readdir(folder), ['file']);
  while (process.getActiveResourcesInfo().includes('TCPServerWrap')) await tick();
});
