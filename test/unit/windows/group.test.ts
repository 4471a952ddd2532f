import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join as joinPath } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GuardError } from '../../../src/guard/errors.ts';
import { createInvite } from '../../../src/guard/identity/invite.ts';
import { applyEdit, type UserEdit } from '../../../src/guard/identity/userEdit.ts';
import { pageLink } from '../../../src/guard/share/inviteLink.ts';
import { createMemoryVault } from '../../../src/guard/tls/vault.ts';
import { Group } from '../../../src/windows/group.ts';
import { protocol } from '../../../src/windows/messages.ts';
import { join } from '../../../src/windows/rendezvous.ts';
import { ask } from '../../support/asks.ts';
import { startFakeOllama } from '../../support/fakeOllama.ts';
import { startGuard } from '../../support/guard.ts';
import { JsonUsers } from '../../support/jsonUsers.ts';
import { MemoryJoined } from '../../support/memoryJoined.ts';
import { team } from '../../support/people.ts';
import { RawClient, request } from '../../support/rawClient.ts';
import { userOf } from '../../support/usersOf.ts';
import { type GroupWindow, GroupWindows } from './groupWindows.ts';
import { temporaryFolder } from './support.ts';

const [, mia, adam] = team.users;
const addMia: UserEdit = { kind: 'add-user', user: mia ?? userOf('nobody', 0) };
const addAdam: UserEdit = { kind: 'add-user', user: adam ?? userOf('nobody', 0) };

const hasWindow = async () => true;

const invalid = new GuardError('config-invalid', 'A setting is not valid.');

const storedNames = async ({ usersFile }: GroupWindows): Promise<readonly string[]> =>
  JSON.parse(await readFile(usersFile, 'utf8')).users.map(({ name }: { readonly name: string }) => name);

test('every window shows the same, and what one asks for happens in all', async (t) => {
  const windows = await GroupWindows.open(t, 3);
  const { config } = windows;
  const [one, other] = windows.pair;
  assert.equal(await one.call('edit', addMia), undefined);
  assert.deepEqual(one.names, ['mia'], 'before it is acknowledged');
  assert.equal(await other.call('start', config), undefined);
  await windows.allShow('running');
  await windows.until(() => windows.all.every(({ names }) => names.length === 1));
  assert.equal(await windows.answer(team.mia.bearer), 200);
  assert.equal(await windows.answer(team.adam.bearer), 401);

  await windows.owner.call('edit', addAdam);
  assert.equal(await windows.answer(team.adam.bearer), 200);
  assert.equal(await one.call('edit', addAdam), 'user-exists');
  await windows.until(() => windows.all.every(({ names }) => names.length === 2));

  await other.call('share', config, { host: '127.0.0.2' });
  await windows.until(() => windows.all.every(({ view }) => view?.snapshot.wanted?.sharing?.host === '127.0.0.2'));
  assert.equal(await one.call('share', config, { host: '192.0.2.1' }), 'address-not-available');

  const [late] = await windows.add(1);
  assert.equal(late?.status, 'following');
  assert.deepEqual(late.view?.snapshot, windows.owner.view?.snapshot);

  await late.call('stop');
  await windows.allShow('stopped');
  assert.equal(await windows.answer(team.mia.bearer), 'refused');
  assert.deepEqual(windows.troubles, []);
});

test('when the owner is killed another goes on with the same guard and users', async (t) => {
  const windows = await GroupWindows.open(t, 3);
  const { config, owner } = windows;
  const [one, other] = windows.pair;
  await one.call('edit', addMia);
  await one.call('start', config);
  await one.call('share', config, { host: '127.0.0.2' });
  const policy = { queue: { concurrency: 2 } };
  assert.equal(await other.call('setPolicy', policy), undefined);
  await windows.allShow('running');
  await other.call('edit', addAdam);
  const killed = performance.now();
  await windows.kill(owner);
  while ((await windows.answer(team.adam.bearer)) !== 200) await sleep(20);
  t.diagnostic(`answered again ${Math.round(performance.now() - killed)} ms after SIGKILL`);
  assert.equal(await windows.answer(team.mia.bearer), 200);
  assert.deepEqual(windows.owner.view?.snapshot.wanted?.config.policy, policy);
  await windows.allShow('running');
  await windows.until(() => windows.running.every(({ view }) => view?.snapshot.wanted?.sharing !== undefined));
  for (const { names } of windows.running) assert.deepEqual(names, ['mia', 'adam']);
  assert.deepEqual(windows.troubles, []);
});

test('an owner that closes leaves the guard to another, and its process ends', async (t) => {
  const windows = await GroupWindows.open(t, 2);
  const { config, owner } = windows;
  await owner.call('edit', addMia);
  await owner.call('start', config);
  await windows.allShow('running');
  assert.equal(await owner.call('close'), undefined);
  await windows.until(() => owner.exit !== undefined);
  assert.deepEqual(owner.exit, { code: 0, signal: null });
  const successor = await windows.successor();
  await windows.allShow('running');
  assert.equal(await windows.answer(team.mia.bearer), 200);

  const [follower] = await windows.add(1);
  await follower?.call('close');
  await successor.call('close');
  await windows.until(() => windows.running.length === 0);
  assert.deepEqual(
    windows.all.map(({ exit }) => exit?.code),
    [0, 0, 0],
  );
  assert.deepEqual(windows.troubles, []);
});

test('tokens of a day that were used stay used when another window goes on with the guard', async (t) => {
  const windows = await GroupWindows.open(t, 2);
  const { owner, config } = windows;
  const policy = { roles: { member: { limits: { tokensPerDay: 1 } } } };
  await owner.call('edit', addMia);
  await owner.call('start', { ...config, policy });
  await windows.allShow('running');
  const body = { model: 'demo', prompt: 'hello', stream: false, options: { num_predict: 1 } };
  const generate = async () => (await request(t, config.port, ask(team.mia, '/api/generate', body))).status;
  assert.equal(await generate(), 200);
  assert.equal(await generate(), 429);
  await owner.call('close');
  await windows.until(() => owner.exit !== undefined);
  await windows.successor();
  await windows.allShow('running');
  assert.equal(await generate(), 429);
});

test('a guard that was stopped is not taken over, whichever way the owner goes', async (t) => {
  const windows = await GroupWindows.open(t, 3);
  const { config } = windows;
  for (const goes of ['close', 'kill'] as const) {
    const { owner } = windows;
    const [follower] = windows.followers;
    await follower?.call('start', config);
    await follower?.call('stop');
    if (goes === 'kill') await windows.kill(owner);
    else await owner.call('close');
    await windows.until(() => owner.exit !== undefined);
    const successor = await windows.successor();
    // Answered after whatever it does of its own accord.
    await successor.call('pauseSharing', false);
    await windows.allShow('stopped');
    assert.equal(await windows.answer(team.mia.bearer), 'refused');
  }
  assert.deepEqual(windows.troubles, []);
});

test('a guard whose owner is killed while it starts is started by another', async (t) => {
  const windows = await GroupWindows.open(t, 3);
  const { config, owner } = windows;
  const [one, other] = windows.pair;
  const starting = one.call('start', config);
  // Whichever of them comes next has to have heard of it. On a busy machine both states arrive at once.
  const hasHeard = ({ status }: GroupWindow) => status === 'starting' || status === 'following';
  await windows.until(() => hasHeard(one) && hasHeard(other));
  await windows.kill(owner);
  assert.ok([undefined, 'window-gone'].includes(await starting));
  await windows.successor();
  await windows.allShow('running');
  assert.equal(await windows.answer(team.mia.bearer), 401);
});

test('of sixty edits that three windows make at once none is lost', async (t) => {
  const windows = await GroupWindows.open(t, 3);
  const { config, owner } = windows;
  await owner.call('start', config);
  const [one, other] = windows.pair;
  const edits = [owner, one, other].flatMap((window, w) =>
    Array.from({ length: 20 }, (_, i) =>
      window.call('edit', { kind: 'add-user', user: userOf(`user-${w}-${i}`, w * 20 + i) }),
    ),
  );
  assert.deepEqual(new Set(await Promise.all(edits)), new Set([undefined]));
  const expected = [0, 1, 2].flatMap((w) => Array.from({ length: 20 }, (_, i) => `user-${w}-${i}`)).sort();
  await windows.until(() => windows.all.every(({ names }) => names.length === 60));
  for (const { names } of windows.all) assert.deepEqual(names.toSorted(), expected);
  assert.deepEqual((await storedNames(windows)).toSorted(), expected);
  assert.equal(owner.view?.snapshot.revision, 60);
  assert.deepEqual(windows.troubles, []);
});

test('activity goes to the windows that watch, and only while they do', async (t) => {
  const windows = await GroupWindows.open(t, 3);
  const { config, owner } = windows;
  const [one, other] = windows.pair;
  const silent = await join({ folder: windows.folder, protocol });
  assert.ok(silent.role === 'follower');
  t.after(() => silent.channel.close());
  const sent: unknown[] = [];
  silent.channel.on('message', (message) => sent.push((message as { readonly m: unknown }).m));
  await one.call('edit', addMia);
  await one.call('start', config);
  const client = await RawClient.open(t, config.port);
  const body = JSON.stringify({ model: 'demo', prompt: 'hello' });
  client.send({ method: 'POST', path: '/api/generate', headers: { authorization: team.mia.bearer }, body });
  await client.has('"response"');

  await one.call('watchActivity', true);
  await windows.until(() => one.activities >= 3);
  assert.deepEqual([owner.activities, other.activities], [0, 0]);
  await owner.call('watchActivity', true);
  await windows.until(() => owner.activities >= 2);
  await one.call('watchActivity', false);
  // Answered after what was asked before it.
  await one.call('pauseSharing', false);
  const { activities } = one;
  const before = owner.activities;
  await windows.until(() => owner.activities >= before + 2);
  assert.deepEqual([one.activities, other.activities], [activities, 0]);
  assert.deepEqual([sent.includes('onSnapshot'), sent.includes('onActivity')], [true, false]);

  await other.call('watchActivity', true);
  await windows.kill(owner);
  await windows.successor();
  await windows.allShow('running');
  await windows.until(() => other.activities > 0);
  assert.deepEqual(windows.troubles, []);
});

test('what waits for an owner that dies fails, and does not hang', async (t) => {
  const windows = await GroupWindows.open(t, 2);
  const { owner } = windows;
  const [follower] = windows.followers;
  owner.signal('SIGSTOP');
  const waiting = [follower?.call('edit', addMia), follower?.call('stop')];
  // Both have been sent when a later question to the same process is answered.
  await follower?.call('watchActivity', false);
  owner.signal('SIGKILL');
  assert.deepEqual(await Promise.all(waiting), ['window-gone', 'window-gone']);
  await windows.successor();
  assert.equal(await follower?.call('edit', addMia), undefined);
  assert.deepEqual(windows.troubles, []);
});

test('users that the store did not take outlive their window', async (t) => {
  const windows = await GroupWindows.open(t, 3);
  for (const window of windows.all) window.store('fails');
  const [one] = windows.pair;
  await one.call('edit', addMia);
  await windows.until(() => windows.all.every(({ view }) => view?.snapshot.storage === 'memory'));
  await windows.kill(windows.owner);
  const successor = await windows.successor();
  assert.deepEqual(successor.names, ['mia']);
  for (const window of windows.running) window.store('works');
  await successor.call('refreshUsers');
  await windows.until(() => windows.running.every(({ view }) => view?.snapshot.storage === 'kept'));
  assert.deepEqual(await storedNames(windows), ['mia']);
  assert.deepEqual(windows.troubles, []);
});

test('a window whose folder cannot be used is alone, and works', async (t) => {
  const windows = await GroupWindows.open(t, 0, 'a-file/below-it');
  await mkdir(dirname(dirname(windows.folder)), { recursive: true });
  await writeFile(dirname(windows.folder), '');
  const [window] = await windows.add(1);
  assert.ok(window?.isOwner);
  await window.call('edit', addMia);
  await window.call('start', windows.config);
  await windows.allShow('running');
  assert.equal(await windows.answer(team.mia.bearer), 200);
  await window.call('close');
  await windows.until(() => window.exit !== undefined);
  assert.equal(window.exit?.code, 0);
  assert.match(window.troubles.join(), /^problem: GuardError: The folder .* cannot be used \(ENOTDIR\)\.$/);
});

test('a failure before the start is shown, but never in place of a guard that runs', async (t) => {
  const windows = await GroupWindows.open(t, 2);
  const { owner, config } = windows;
  const [follower] = windows.followers;
  assert.equal(await follower?.call('fail', invalid), undefined);
  assert.deepEqual([owner.status, follower?.status], ['stopped', 'failed']);
  await owner.call('fail', invalid);
  await windows.until(() => windows.all.every(({ status }) => status === 'failed'));

  await follower?.call('start', config);
  await windows.allShow('running');
  assert.equal(await follower?.call('fail', invalid), 'config-invalid');
  assert.equal(await owner.call('fail', invalid), 'config-invalid');
  await windows.allShow('running');
  await windows.kill(owner);
  await windows.successor();
  await windows.allShow('running');
  assert.deepEqual(windows.troubles, []);
});

test('a window closes at whatever moment, whether it is the first one or follows', async (t) => {
  const folder = await temporaryFolder(t);
  const store = new JsonUsers(joinPath(folder, 'users.json'));
  const problems: unknown[] = [];
  const ignore = () => undefined;
  const listener = {
    onChange: ignore,
    onActivity: ignore,
    onEvents: ignore,
    onProblem: (error: unknown) => problems.push(error),
  };
  for (let first = 0; first < 2; first++) {
    for (let ms = 0; ms < 40; ms += 2) {
      const group = new Group({
        folder,
        store,
        vault: createMemoryVault(),
        joined: new MemoryJoined(),
        hasWindow,
        listener,
      });
      const call = group.endSharing().catch((error: unknown) => GuardError.is(error, 'window-gone'));
      await sleep(ms);
      await group.close();
      assert.notEqual(await call, false);
    }
    const owner = new Group({
      folder,
      store,
      vault: createMemoryVault(),
      joined: new MemoryJoined(),
      hasWindow,
      listener,
    });
    t.after(() => owner.close());
    await owner.endSharing();
  }
  assert.deepEqual(problems, []);
});

test('an owner whose window has gone leaves the guard to one that asks for something', async (t) => {
  const windows = await GroupWindows.open(t, 2);
  const { owner, config } = windows;
  const [follower] = windows.followers;
  assert.ok(follower !== undefined);
  await owner.call('edit', addMia);
  await owner.call('start', config);
  await windows.allShow('running');
  owner.loseWindow();
  assert.equal(await follower.call('edit', addAdam), undefined);
  assert.equal(follower.isOwner, true);
  await windows.until(() => follower.status === 'running');
  assert.equal(await windows.answer(team.mia.bearer), 200);
  assert.equal(await windows.answer(team.adam.bearer), 200);

  // It stays out of the way for good, also when there is nobody else.
  await windows.kill(follower);
  const [late] = await windows.add(1);
  assert.equal(late?.isOwner, true);
  assert.deepEqual(await storedNames(windows), ['mia', 'adam']);
});

test('an owner whose window has gone leaves the guard to one that opens', async (t) => {
  const windows = await GroupWindows.open(t, 1);
  await windows.owner.call('edit', addMia);
  await windows.owner.call('start', windows.config);
  windows.owner.loseWindow();
  const [late] = await windows.add(1);
  assert.ok(late !== undefined);
  await windows.until(() => late.isOwner && late.status === 'running');
  assert.equal(await windows.answer(team.mia.bearer), 200);
});

test('windows that see many owners come and go are none the worse for it', async (t) => {
  const windows = await GroupWindows.open(t, 6);
  await windows.owner.call('edit', addMia);
  await windows.owner.call('start', windows.config);
  while (windows.running.length > 1) {
    await windows.allShow('running');
    await windows.kill(windows.owner);
    await windows.successor();
  }
  await windows.allShow('running');
  assert.equal(await windows.answer(team.mia.bearer), 200);
  await windows.owner.call('close');
  await windows.until(() => windows.running.length === 0);
  assert.equal(windows.all.filter(({ exit }) => exit?.code === 0).length, 1);
  assert.deepEqual(windows.troubles, []);
});

test('a window of another version says so once, and takes over when the others have gone', async (t) => {
  const folder = await temporaryFolder(t);
  const other = await join({ folder, protocol: protocol + 1 });
  assert.ok(other.role === 'owner');
  const problems: string[] = [];
  const shown: string[] = [];
  const group = new Group({
    vault: createMemoryVault(),
    joined: new MemoryJoined(),
    folder,
    store: new JsonUsers(joinPath(folder, 'users.json')),
    hasWindow,
    listener: {
      onChange: () => shown.push(group.state.status),
      onActivity: () => undefined,
      onEvents: () => undefined,
      onProblem: (error) => problems.push((error as GuardError).code),
    },
  });
  t.after(() => group.close());
  const asked = group.endSharing();
  while (problems.length === 0) await sleep(10);
  assert.deepEqual([problems, shown], [['other-version'], ['failed']]);
  await other.close();
  await asked;
  assert.equal(group.isOwner, true);
  assert.equal(group.state.status, 'stopped');
  assert.deepEqual(problems, ['other-version']);
});

test('a window joins by another one, and when that is killed the next one goes on at the same address', async (t) => {
  const { record, code } = createInvite();
  const users = applyEdit(team.users, { kind: 'add-invite', name: 'mia', invite: record });
  const guard = await startGuard(t, await startFakeOllama(t), { users });
  const link = pageLink({ addresses: [guard.guard.url], code, user: 'mia' });
  const windows = await GroupWindows.open(t, 3);
  const { owner } = windows;
  const [follower] = windows.pair;
  const joinedIn = (window: GroupWindow) => window.view?.snapshot.joined ?? [];
  const urlIn = (window: GroupWindow) => joinedIn(window)[0]?.url;
  assert.equal(await follower.call('join', link), undefined);
  await windows.until(() => windows.running.every((window) => urlIn(window) !== undefined));
  const url = urlIn(owner) ?? assert.fail();
  assert.deepEqual(new Set(windows.running.map(urlIn)), new Set([url]));
  assert.equal(JSON.stringify(joinedIn(follower)).includes('og_'), false, 'the key stays in the owning window');
  const tags = async () => (await fetch(`${url}/api/tags`)).status;
  assert.equal(await tags(), 200);
  assert.equal(await follower.call('join', link), 'invite-refused', 'an invite works once');

  await windows.kill(owner);
  await windows.successor();
  await windows.until(() => windows.running.every((window) => urlIn(window) === url));
  assert.equal(await tags(), 200);
  const [left] = windows.followers;
  assert.equal(await left?.call('leave', joinedIn(windows.owner)[0]?.id ?? ''), undefined);
  await windows.until(() => windows.running.every((window) => joinedIn(window).length === 0));
  await assert.rejects(tags());
});
