/** The side bar: what it shows, what can be done from it, and sharing on purpose. */
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { after, afterEach, before, describe, it } from 'node:test';
import { listenersOn } from '../../src/checkup/listeners.ts';
import { basic, firstModel, generate, get, isOpen, runCurl } from './client.ts';
import { until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { texts } from './texts.ts';

describe('the side bar', () => {
  let guard: GuardWindow;
  let alice: Record<string, string>;
  let bob: Record<string, string>;

  before(async () => {
    guard = await GuardWindow.open({ demo: { tokensPerSecond: 50, tokens: 1_000_000 } });
    await guard.workbench.openSideBar('Ollama Guard');
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  async function status(headers: Record<string, string>): Promise<number> {
    return (await get(`${guard.url}/api/tags`, headers)).status;
  }

  it('empty, it offers what comes first', async () => {
    const { workbench } = guard;
    await guard.shoot('side-bar-empty');
    await workbench.view('Users').getByRole('button', { name: 'Add User' }).last().click();
    await workbench.expectQuick(texts.addUser.name);
    await workbench.enter('alice');
    await workbench.pick('member');
    alice = basic('alice', await guard.copied(() => workbench.pick(texts.addUser.generate)));
    await workbench.clearToasts();
    bob = basic('bob', await guard.addUser('bob', 'viewer'));
    await workbench.viewRows('Users', /alice.*member, never used/).waitFor();

    await workbench.view('Endpoint').locator('.welcome-view').getByRole('button', { name: 'Start' }).click();
    await workbench.viewRows('Endpoint', /Running.*127\.0\.0\.1/).waitFor();
    await workbench.viewRows('Endpoint', /Ollama.*http/).waitFor();
  });

  it('shows a live stream with user, model, age and tokens, and stops it', async () => {
    const { workbench, demo } = guard;
    const model = await firstModel(demo.url);
    const stream = await generate(guard.url, model, alice);
    const row = workbench.viewRows('Activity', new RegExp(`alice: ${model}.*sec, [\\d,]+ tokens`));
    await row.waitFor();
    const before = await row.innerText();
    await until('the row goes on', async () => (await row.innerText()) !== before);
    await workbench.viewRows('Endpoint', /Connected.*alice/).waitFor();
    await workbench.viewRows('Users', /alice.*used this minute/).waitFor();
    await guard.shoot('side-bar-stream', ['high-contrast', 'high-contrast-light', 'light', 'dark']);

    assert.equal(demo.generating, 1);
    await workbench.rowAction(row, 'Stop This Request');
    await until('the answer ends', () => stream.outcome === 'cut');
    await until('Ollama stops', () => demo.generating === 0);
    await workbench.viewRows('Activity', /alice: .*stopped/).waitFor();
  });

  it('shows who waits for a turn and at which place, until a turn is free', async () => {
    const { workbench, demo } = guard;
    const model = await firstModel(demo.url);
    // As many as Ollama is given at once, unless the policy says otherwise.
    const running = await Promise.all(Array.from({ length: 4 }, () => generate(guard.url, model, alice)));
    const waiting = generate(guard.url, model, alice);
    const row = workbench.viewRows('Activity', /alice: .*waits, 1st in line/);
    await row.waitFor();
    await guard.shoot('side-bar-queue');
    assert.equal(demo.generating, 4);
    const stop = async () =>
      await workbench.rowAction(workbench.viewRows('Activity', /sec, [\d,]+ tokens/).first(), 'Stop This Request');
    await stop();
    const last = await waiting;
    await row.waitFor({ state: 'detached' });
    await Promise.all([...running, last].map((stream) => stream.leave()));
    await until('Ollama stops', () => demo.generating === 0);
  });

  it('every row says what it is to a screen reader, and is reached by keyboard', async () => {
    const { workbench } = guard;
    const labels = await workbench.page
      .locator('.sidebar .pane .monaco-list-row')
      .evaluateAll((rows) => rows.map((row) => row.getAttribute('aria-label') ?? ''));
    assert.ok(labels.length >= 6, `${labels.length} rows`);
    for (const label of labels) assert.match(label, /\S/);
    assert.ok(
      labels.some((label) => /^alice, member, used/.test(label)),
      labels.join('\n'),
    );

    // The palette gives the focus back as it closes, now and then after the view has taken it.
    const focused = workbench.view('Users').locator('.monaco-list-row.focused');
    await until('a user has the focus', async () => {
      await workbench.command('Ollama Guard: Focus on Users View');
      await workbench.page.keyboard.press('ArrowDown');
      return await focused.waitFor({ timeout: 1_000 }).then(
        () => true,
        () => false,
      );
    });
    await workbench.page.keyboard.press('Shift+F10');
    await workbench.page.getByRole('menuitem', { name: 'Reset Password' }).waitFor();
    await workbench.page.keyboard.press('Escape');
  });

  it('switches a user off and on again', async () => {
    const { workbench } = guard;
    assert.equal(await status(bob), 200);
    await guard.run('Disable User');
    await workbench.pick('bob');
    await workbench.viewRows('Users', /bob.*disabled/).waitFor();
    assert.equal(await status(bob), 401);
    await workbench.clearToasts();
    await workbench.rowAction(workbench.viewRows('Users', 'bob'), 'Enable User');
    await workbench.viewRows('Users', /bob.*used/).waitFor();
    assert.equal(await status(bob), 200);
    await workbench.clearToasts();
  });

  it('Copy for Client from a user: a new key named after the client, good at once, revoked from the tree', async () => {
    const { workbench } = guard;
    const copied = await guard.copied(async () => {
      await workbench.rowAction(workbench.viewRows('Users', 'alice'), 'Copy for Client');
      await workbench.quickRows('curl').waitFor();
      await guard.shoot('copy-for-client');
      await workbench.pick('curl');
      await workbench.pick('bash');
    });
    await workbench.clearToasts();
    const reply = await runCurl(copied.replace('"stream":false', '"stream":false,"options":{"num_predict":3}'));
    assert.equal(reply.status, 200);

    const row = workbench.viewRows('Users', 'alice');
    await row.click();
    // A click unfolds it too, unless the row is drawn anew, with its key below, at that very moment.
    await until('the row is unfolded', async () => {
      if ((await row.getAttribute('aria-expanded')) === 'true') return true;
      await workbench.page.keyboard.press('ArrowRight');
      return false;
    });
    const key = workbench.viewRows('Users', /^curl/);
    await key.waitFor();
    await workbench.rowAction(key, 'Revoke API Key');
    await workbench.confirm(texts.revoke);
    await key.waitFor({ state: 'hidden' });
    assert.equal((await runCurl(copied)).status, 401);
    await workbench.clearToasts();
  });

  /** Start Sharing with these answers. */
  async function share(address: string, until: string, whom: string): Promise<void> {
    await guard.run('Start Sharing');
    await guard.workbench.pick(address);
    await guard.workbench.pick(until);
    await guard.workbench.pick(whom);
  }

  it('shares for an hour with some, pauses and resumes in one click, and goes back', async () => {
    const { workbench } = guard;
    await share('This computer alone', 'For 1 hour', 'Some users');
    await workbench.pick('alice');
    await workbench.quickInput.getByRole('button', { name: 'OK' }).click();
    await workbench.viewRows('Endpoint', /Shared.*left/).waitFor();
    await workbench.clearToasts();
    assert.deepEqual([await status(alice), await status(bob)], [200, 403]);
    assert.match(await guard.status.innerText(), /(59|60) min left/);
    await guard.shoot('sharing');

    const row = workbench.viewRows('Endpoint', 'Shared');
    await workbench.rowAction(row, 'Pause Sharing');
    await workbench.viewRows('Endpoint', /Shared.*paused/).waitFor();
    assert.equal(await status(alice), 403);
    await workbench.rowAction(row, 'Resume Sharing');
    await workbench.viewRows('Endpoint', /Shared.*left/).waitFor();
    assert.equal(await status(alice), 200);

    await guard.run('Stop Sharing');
    await row.waitFor({ state: 'hidden' });
    await guard.expectStatus(texts.status.running);
    assert.deepEqual([await status(alice), await status(bob)], [200, 200]);
  });

  it('shares on an address of the network beside loopback, encrypted, and stops with it', async (t) => {
    const { workbench } = guard;
    const [address, name] =
      Object.entries(networkInterfaces())
        .flatMap(([of, entries = []]) => entries.map((entry) => ({ of, ...entry })))
        .filter(({ family, internal }) => family === 'IPv4' && !internal)
        .map((entry) => [entry.address, entry.of] as const)[0] ?? [];
    if (address === undefined || name === undefined) {
      t.skip('this computer is on no network');
      return;
    }
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
    await share(address, 'Until stopped', 'Every user');
    await workbench.viewRows('Endpoint', /Encrypted.*auto, until/).waitFor();
    await workbench.viewRows('Endpoint', `https://${address}:${guard.port}`).filter({ hasText: name }).waitFor();
    assert.doesNotMatch(await guard.statusLabel(), texts.status.exposed);
    assert.doesNotMatch((await guard.status.getAttribute('class')) ?? '', /\bwarning-kind\b/);
    // Asked of the system: nothing is sent to that address.
    const listening = (await listenersOn(guard.port)).map((listener) => listener.address);
    assert.deepEqual(listening.sort(), ['127.0.0.1', address].sort());
    await guard.shoot('sharing-network');
    await guard.run('Stop Sharing');
    await guard.expectStatus(texts.status.stopped);
    assert.equal(await isOpen(guard.port), false);
    assert.deepEqual(await listenersOn(guard.port), []);
  });
});
