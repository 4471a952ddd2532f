/** Where VS Code lets extensions do less: folders that are not trusted, and folders that are on no disk. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { basic, get } from './client.ts';
import { until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { Probe } from './probe.ts';
import { packageProbe } from './project.ts';
import { texts } from './texts.ts';

describe('where extensions may do less', () => {
  const temporary = mkdtempSync(path.join(tmpdir(), 'ollama-guard-probe-'));
  let guard: GuardWindow;

  before(async () => {
    guard = await GuardWindow.open({
      workspaceTrust: true,
      settings: { 'security.workspace.trust.startupPrompt': 'never' },
      extensions: [packageProbe(temporary)],
    });
  });
  after(async () => {
    await guard?.close();
    rmSync(temporary, { recursive: true });
  });
  afterEach((test) => guard.check(test));

  /** From nothing to a teammate's request, and back. */
  async function expectToWork(user: string): Promise<void> {
    const { workbench } = guard;
    await guard.expectStatus(texts.status.stopped);
    await workbench.openSideBar('Ollama Guard');
    const credential = basic(user, await guard.addUser(user, 'viewer'));
    await workbench.viewRows('Users', user).waitFor();
    // Had the folder's settings started it by now, there would be nothing to start.
    await guard.expectStatus(texts.status.stopped);
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    assert.equal((await get(`${guard.url}/api/tags`, credential)).status, 200);
    await workbench.viewRows('Endpoint', guard.url).waitFor();
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
  }

  it('Restricted Mode: everything works', async () => {
    await guard.workbench.page.locator('.part.statusbar').getByText('Restricted Mode').waitFor();
    await expectToWork('alice');
    await guard.shoot('restricted-mode');
  });

  it('a virtual workspace: everything works, and its settings do not count', async () => {
    const { workbench, window } = guard;
    await workbench.open(window.editor.urlOfVirtual('probefs:/project'));
    await until("the folder's settings are read", async () => (await workbench.page.title()) === 'on no disk');
    assert.equal(await new Probe(window).virtualFolder(), 'probefs:/project');
    await expectToWork('bob');
  });
});
