/** The first minutes: the walkthrough, and what Check This Machine finds. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { FrameLocator, Locator } from 'playwright-core';
import { runCurl } from './client.ts';
import { freePort, until } from './editor.ts';
import { GuardWindow } from './guardWindow.ts';
import { texts } from './texts.ts';

describe('the first minutes', () => {
  let guard: GuardWindow;

  before(async () => {
    // Everything that can be wrong with an Ollama.
    const port = await freePort();
    guard = await GuardWindow.open({
      demo: {
        host: '0.0.0.0',
        port,
        origins: '*',
        version: '0.1.32',
        account: 'signed-in',
        cloudModels: ['gpt-oss:120b-cloud'],
      },
      settings: { 'ollamaGuard.upstream': `http://127.0.0.1:${port}` },
    });
  });
  after(() => guard?.close());
  afterEach((test) => guard.check(test));

  const steps = (): Locator => guard.workbench.page.locator('.getting-started-step');

  /** Waits until the first `count` steps are done, and no other. */
  async function expectDone(count: number): Promise<void> {
    const wanted = [0, 1, 2, 3, 4, 5].map((step) => step < count);
    await until(`${count} steps are done`, async () => {
      const boxes = steps().getByRole('checkbox');
      const done = await boxes.evaluateAll((all) => all.map((box) => box.getAttribute('aria-checked') === 'true'));
      return done.join() === wanted.join();
    });
  }

  /** Unfolds a step of the walkthrough and presses its button. */
  async function press(step: string, button: string): Promise<void> {
    const row = steps().filter({ hasText: step });
    if (!(await row.getAttribute('class'))?.includes('expanded')) await row.click();
    await row.getByRole('button', { name: button, exact: true }).click();
  }

  /** The page that a webview shows. */
  function webview(): FrameLocator {
    return guard.workbench.page.frameLocator('iframe.webview.ready').last().frameLocator('iframe#active-frame');
  }

  it('the walkthrough opens, with a picture to each step', async () => {
    const { workbench } = guard;
    await workbench.command('View: Toggle Primary Side Bar Visibility');
    await guard.run('Open Walkthrough');
    await steps().first().waitFor();
    assert.equal(await steps().count(), 6);
    await expectDone(0);
    await webview().locator('svg').waitFor();
    await guard.shoot('walkthrough', ['high-contrast', 'high-contrast-light', 'light', 'dark']);
  });

  it('its first step is done when the machine has been checked', async () => {
    await press('Check Ollama', 'Check This Machine');
    await guard.workbench.quickRows('It is at http').waitFor();
    await guard.workbench.dismiss();
    await expectDone(1);
  });

  it('the second, when there is a user', async () => {
    const { workbench } = guard;
    await press('Add a user', 'Add User');
    await workbench.expectQuick(texts.addUser.name);
    await workbench.enter('alice');
    await workbench.pick('member');
    await guard.copied(() => workbench.pick(texts.addUser.generate));
    await workbench.clearToasts();
    await expectDone(2);
  });

  it('the third, when the guard runs', async () => {
    await press('Start the guard', 'Start');
    await guard.expectStatus(texts.status.running);
    await expectDone(3);
  });

  it('the fourth, when a command was copied, which works', async () => {
    const { workbench } = guard;
    const command = await guard.copied(async () => {
      await press('Send the command', 'Copy for Client…');
      await workbench.pick('curl');
      await workbench.pick('bash');
    });
    assert.equal((await runCurl(command)).status, 200);
    await workbench.clearToasts();
    await expectDone(4);
  });

  it("the fifth, when a user's access was changed", async () => {
    const { workbench } = guard;
    await press('Who may do what', 'Edit Access…');
    await webview().locator('svg').waitFor();
    await guard.shoot('walkthrough-access-edited');
    await workbench.pick('Role');
    await workbench.pick('viewer');
    await workbench.quickRows('Role').getByText('viewer').waitFor();
    await workbench.dismiss();
    await expectDone(5);
    await guard.shoot('walkthrough-access');
  });

  it('the last, when a policy is written', async () => {
    const { workbench } = guard;
    await press('Share fairly', 'Edit Policy');
    await guard.policyOffered();
    await workbench.page.keyboard.press('Escape');
    await guard.replaceOpenSettings({ 'ollamaGuard.policy': { queue: { concurrency: 2 } } });
    await workbench.command('View: Close Editor');
    await expectDone(6);
    await webview().locator('svg').waitFor();
    await guard.shoot('walkthrough-done');
  });

  it('Check This Machine finds what is dangerous, the worst first', async () => {
    const { workbench } = guard;
    await guard.run('Check This Machine');
    await workbench.quickRows('It is at http').waitFor();
    const titles = await workbench.quickRows().locator('.quick-input-list-label .quick-input-list-row').allInnerTexts();
    assert.deepEqual(titles.filter((_, line) => line % 2 === 0).slice(0, 4), [
      'Ollama can be reached past Ollama Guard',
      'Any web page can use Ollama',
      'Ollama 0.1.32 lacks security fixes',
      'Teammates can use your account at ollama.com',
    ]);
    await guard.shoot('check-this-machine');
  });

  it('a finding says what to do, and explains itself', async () => {
    const { workbench } = guard;
    await workbench.pick('Any web page can use Ollama');
    const sentence = await workbench.toastText('Any web page can use Ollama');
    assert.match(sentence, /Remove \* from OLLAMA_ORIGINS\.$/);
    await guard.shoot('finding');
    await workbench.toastButton('Any web page can use Ollama', 'Explain');
    const heading = webview().getByRole('heading', { name: 'Ollama origins' });
    await heading.waitFor();
    await until('the page is at the heading', async () => {
      const box = await heading.boundingBox();
      return box !== null && box.y > 0 && box.y < 200;
    });
    await guard.shoot('explained');
  });

  it('a finding that a setting mends opens that setting', async () => {
    const { workbench } = guard;
    await guard.demo.stop();
    await guard.run('Check This Machine');
    await workbench.pick('Ollama does not answer');
    await workbench.toastButton('Ollama does not answer', 'Open Setting');
    await workbench.page.locator('.settings-editor').getByText('The Ollama behind the endpoint').waitFor();
  });

  it('with a setting that is not valid it says so, and asks nothing', async () => {
    const { workbench } = guard;
    guard.writeSettings({ 'ollamaGuard.upstream': 'localhost 11434' });
    await workbench.reload();
    await guard.expectStatus(texts.status.stopped);
    await guard.run('Check This Machine');
    await workbench.toasts(/ollamaGuard\.upstream/).waitFor();
    assert.equal(await workbench.quickInput.count(), 0);
  });
});
