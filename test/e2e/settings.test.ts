/** What settings may do, and whose. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { startDemoOllama } from '../../src/demo/demoOllama.ts';
import { basic, get, isOpen } from './client.ts';
import { freePort, type Settings } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { texts } from './texts.ts';

describe('settings', () => {
  let guard: GuardWindow;

  before(async () => {
    guard = await GuardWindow.open();
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  /** Changes user settings and lets the window see them. */
  async function set(settings: Settings): Promise<void> {
    guard.writeSettings(settings);
    await guard.workbench.reload();
    await guard.status.waitFor();
  }

  it('a folder cannot start the guard, move it, or put another Ollama behind it (SEC-75)', async () => {
    const asked: string[] = [];
    const foreign = await startDemoOllama({ observe: (request) => asked.push(request.path) });
    try {
      const port = await freePort();
      const folder = path.join(guard.window.editor.folder, '.vscode');
      mkdirSync(folder);
      writeFileSync(
        path.join(folder, 'settings.json'),
        JSON.stringify({
          'ollamaGuard.autoStart': true,
          'ollamaGuard.host': '127.0.0.3',
          'ollamaGuard.port': port,
          'ollamaGuard.upstream': foreign.url,
        }),
      );
      await guard.workbench.reload();
      await guard.expectStatus(texts.status.stopped);
      await guard.run('Start');
      await guard.expectStatus(texts.status.running);
      const password = await guard.addUser('alice', 'viewer');

      assert.equal((await get(`${guard.url}/api/tags`, basic('alice', password))).status, 200);
      for (const host of ['127.0.0.1', '127.0.0.3']) assert.equal(await isOpen(port, host), false);
      assert.equal(await isOpen(guard.port, '127.0.0.3'), false);
      assert.deepEqual(asked, []);
    } finally {
      await foreign.stop();
    }
  });

  it('autoStart starts the guard with the window', async () => {
    await set({ 'ollamaGuard.autoStart': true });
    await guard.expectStatus(texts.status.running);
    assert.equal((await get(`${guard.url}/api/tags`)).status, 401);
  });

  it('beyond loopback: the status bar warns', async () => {
    await set({ 'ollamaGuard.host': '0.0.0.0' });
    await guard.run('Start');
    await guard.expectStatus(texts.status.running);
    await guard.expectStatus(texts.status.exposed);
    assert.match((await guard.status.getAttribute('class')) ?? '', /\bwarning-kind\b/);
    await guard.shoot('status-exposed');
  });

  it('beyond loopback without a user: refuses to start', async () => {
    await guard.run('Stop');
    await guard.expectStatus(texts.status.stopped);
    await guard.run('Remove User');
    await guard.workbench.confirm(texts.removeUser.confirm);
    await guard.workbench.toastText(texts.removeUser.done('alice'));
    await guard.workbench.clearToasts();

    await guard.run('Start');
    await guard.expectFailure(texts.noUsers);
    assert.equal(await isOpen(guard.port), false);
  });
});
