/** Several windows of one VS Code: the same guard in all of them, whichever runs it. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { basic, firstModel, generate, get, isOpen } from './client.ts';
import { until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { texts } from './texts.ts';
import type { Workbench } from './workbench.ts';

describe('several windows', () => {
  let guard: GuardWindow;
  let first: Workbench;
  let second: Workbench;
  let credential: Record<string, string>;

  before(async () => {
    guard = await GuardWindow.open({ demo: { tokensPerSecond: 50, tokens: 1_000_000 } });
    first = guard.workbench;
    second = await guard.openAnother();
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  /** Waits until both windows say the same. */
  async function both(label: RegExp): Promise<void> {
    await Promise.all([first, second].map((workbench) => guard.expectStatus(label, workbench)));
  }

  it('started in one, it runs in both', async () => {
    await first.page.bringToFront();
    await guard.run('Start', first);
    await both(texts.status.running);
    await guard.expectStatus(texts.status.elsewhere, second);
    assert.equal(await isOpen(guard.port), true);
  });

  it('a user that the other window adds is let in, and both show it', async () => {
    await second.page.bringToFront();
    credential = basic('alice', await guard.addUser('alice', 'member', second));
    assert.equal((await get(`${guard.url}/api/tags`, credential)).status, 200);
    for (const workbench of [first, second]) {
      await workbench.page.bringToFront();
      await workbench.openSideBar('Ollama Guard');
      await workbench.viewRows('Users', 'alice').waitFor();
    }
    await guard.shoot('windows-follower', ['dark'], second);
  });

  it('what goes on is seen in both', async () => {
    const stream = await generate(guard.url, await firstModel(guard.demo.url), credential);
    for (const workbench of [first, second]) {
      await workbench.page.bringToFront();
      await workbench.viewRows('Activity', /alice: .*tokens/).waitFor();
    }
    await stream.leave();
  });

  it('stopped in the other, it is stopped in both', async () => {
    await second.page.bringToFront();
    await guard.run('Stop', second);
    await both(texts.status.stopped);
    assert.equal(await isOpen(guard.port), false);
  });

  it('started in the other, it runs in both', async () => {
    await guard.run('Start', second);
    await both(texts.status.running);
    assert.equal((await get(`${guard.url}/api/tags`, credential)).status, 200);
  });

  it('a walkthrough that is opened only now shows what was done before', async () => {
    await first.page.bringToFront();
    await guard.run('Open Walkthrough', first);
    const boxes = first.page.locator('.getting-started-step').getByRole('checkbox', { checked: true });
    await until('the first three steps are done', async () => (await boxes.count()) === 3);
  });

  it('when the window that runs it is reloaded, the other goes on with it, and the reloaded one follows', async () => {
    await first.page.bringToFront();
    await first.reload();
    await guard.statusIn(first).waitFor();
    await both(texts.status.running);
    await guard.expectStatus(texts.status.here, second);
    await guard.expectStatus(texts.status.elsewhere, first);
    assert.equal((await get(`${guard.url}/api/tags`, credential)).status, 200);
  });

  it('when the host of the window that runs it is killed, the other takes over and serves the next request', async (t) => {
    // In the order in which they began: the second window's, and that of the first since it was reloaded.
    const [owner, follower] = guard.window.editor.hostProcesses();
    assert.ok(owner !== undefined && follower !== undefined);
    const stream = await generate(guard.url, await firstModel(guard.demo.url), credential);
    await until('an answer flows', () => stream.arrivals.length > 3);
    const killedAt = performance.now();
    process.kill(owner, 'SIGKILL');
    await until('the answer of the killed one ends', () => stream.outcome !== undefined);
    const status = await until('the other serves', () =>
      get(`${guard.url}/api/tags`, credential).then(
        (reply) => reply.status,
        () => undefined,
      ),
    );
    assert.equal(status, 200);
    t.diagnostic(`taken over after ${Math.round(performance.now() - killedAt)} ms`);
    await guard.expectStatus(texts.status.running, first);
    await guard.expectStatus(texts.status.here, first);
  });
});

describe('a window that is gone, whose extension host is not', () => {
  let guard: GuardWindow;

  before(async () => {
    guard = await GuardWindow.open({ graceSeconds: 600 });
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  it('leaves guard and users to the next window', async () => {
    const credential = basic('alice', await guard.addUser('alice', 'viewer'));
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    await guard.workbench.crash();
    assert.equal(guard.window.editor.hostProcesses().length, 1, 'its extension host lives on');

    const next = await guard.openAnother();
    await guard.expectStatus(texts.status.here, next);
    assert.equal((await get(`${guard.url}/api/tags`, credential)).status, 200);
    const other = basic('bob', await guard.addUser('bob', 'viewer', next));
    assert.equal((await get(`${guard.url}/api/tags`, other)).status, 200);
  });
});
