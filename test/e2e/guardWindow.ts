/** A VS Code window with the packaged Ollama Guard in it, and a demo Ollama behind that. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { SuiteContext, TestContext } from 'node:test';
import type { Locator } from 'playwright-core';
import { type DemoOllama, type DemoOptions, startDemoOllama } from '../../src/demo/demoOllama.ts';
import { calm, EditorWindow, freePort, type Settings, until } from './editor.ts';
import { guardVsix } from './project.ts';
import { command, extensionId, statusItemId, texts } from './texts.ts';
import type { Theme, Workbench } from './workbench.ts';

const shots = path.join(import.meta.dirname, 'shots');

/** A panel is there within this time, in milliseconds. */
const panelMs = 8_000;

/** What differs between one test file's window and another's. */
export interface GuardWindowOptions {
  readonly demo?: DemoOptions;
  /** The guard's port; a free one by default. */
  readonly port?: number;
  /** Settings beside the guard's port and upstream, which are set to a free port and the demo. */
  readonly settings?: Settings;
  /** Further extensions (vsix files). */
  readonly extensions?: readonly string[];
  /** Whether folders have to be trusted first; no by default. */
  readonly workspaceTrust?: boolean;
  /** See EditorOptions. */
  readonly graceSeconds?: number;
  /** Pixels of a picture to a CSS pixel; 1 by default. */
  readonly deviceScaleFactor?: number;
}

/** One window for one test file. */
export class GuardWindow {
  readonly demo: DemoOllama;
  readonly port: number;
  readonly window: EditorWindow;
  readonly #settings: Settings;
  #hasLostClick = false;

  private constructor(demo: DemoOllama, port: number, window: EditorWindow, settings: Settings) {
    this.#settings = settings;
    this.demo = demo;
    this.port = port;
    this.window = window;
  }

  /** Starts a demo Ollama and an editor, and waits until the extension has put its item on the status bar. */
  static async open(options: GuardWindowOptions = {}): Promise<GuardWindow> {
    const demo = await startDemoOllama(options.demo);
    try {
      const port = options.port ?? (await freePort());
      const settings = { 'ollamaGuard.port': port, 'ollamaGuard.upstream': demo.url, ...options.settings };
      const extensions = [guardVsix, ...(options.extensions ?? [])];
      const { workspaceTrust = false, deviceScaleFactor = 1, graceSeconds = 1 } = options;
      const window = await EditorWindow.open({ extensions, settings, workspaceTrust, deviceScaleFactor, graceSeconds });
      const guard = new GuardWindow(demo, port, window, settings);
      await guard.status.waitFor();
      return guard;
    } catch (error) {
      await demo.stop();
      throw error;
    }
  }

  get workbench(): Workbench {
    return this.window.workbench;
  }

  /** Where the guard answers. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The extension's status bar item, in the first window or another. */
  statusIn(workbench: Workbench): Locator {
    return workbench.statusItem(extensionId, statusItemId);
  }

  /** The extension's status bar item. */
  get status(): Locator {
    return this.statusIn(this.workbench);
  }

  /** Opens another window of the same editor, and waits until the extension is in it. */
  async openAnother(): Promise<Workbench> {
    const workbench = await this.window.openAnother();
    await this.statusIn(workbench).waitFor();
    return workbench;
  }

  /** What a screen reader says of the status bar item. */
  async statusLabel(): Promise<string> {
    return (await this.status.getByRole('button').first().getAttribute('aria-label')) ?? '';
  }

  /** Waits until the status bar says `label`. */
  async expectStatus(label: RegExp, workbench = this.workbench): Promise<void> {
    await this.statusIn(workbench).getByRole('button', { name: label }).first().waitFor();
  }

  /** What hovering over the status bar item shows. */
  async statusTooltip(): Promise<string> {
    await this.status.hover();
    const text = await this.workbench.page.locator('.monaco-hover:visible').first().innerText();
    return text.replaceAll(/\s+/g, ' ');
  }

  /** Runs one of the extension's commands by the palette. */
  async run(title: string, workbench = this.workbench): Promise<void> {
    await workbench.command(command(title));
  }

  /** Does what puts something on the clipboard, and gives that. */
  async copied(action: () => Promise<void>, workbench = this.workbench): Promise<string> {
    const before = `nothing copied at ${performance.now()}`;
    await workbench.setClipboard(before);
    await action();
    return await until('something copied', async () => {
      const text = await workbench.clipboard();
      return text !== before && text;
    });
  }

  /** Add User, as far as the password: answers name and role. */
  async beginUser(name: string, role: string, workbench = this.workbench): Promise<void> {
    await this.run('Add User', workbench);
    await workbench.expectQuick(texts.addUser.name);
    await workbench.enter(name);
    await workbench.pick(role);
  }

  /** Adds a user with a generated password, and gives that. */
  async addUser(name: string, role: string, workbench = this.workbench): Promise<string> {
    await this.beginUser(name, role, workbench);
    const password = await this.copied(() => workbench.pick(texts.addUser.generate), workbench);
    await workbench.toastText(texts.addUser.passwordFor(name));
    await workbench.clearToasts();
    return password;
  }

  /**
   * Waits until the guard has failed and said so: in one message, with a way to the log, and in the status bar in the
   * colour of errors. Clears up afterwards.
   */
  async expectFailure(words: RegExp, picture?: string): Promise<void> {
    const { workbench } = this;
    await workbench.toasts(words).waitFor();
    await this.expectStatus(texts.status.failed);
    assert.match((await this.status.getAttribute('class')) ?? '', /\berror-kind\b/);
    assert.equal(await workbench.toasts().count(), 1, 'one message');
    if (picture !== undefined) await this.shoot(picture);
    await workbench.toastButton(words, texts.showLog);
    await this.#expectLog();
    await workbench.command('View: Hide Panel');
    await workbench.clearToasts();
  }

  /**
   * Waits until the log is shown. Once in some hundred times VS Code takes a click on a button of a message and shows no
   * panel; one such click of a window is made good by the command that does the same.
   */
  async #expectLog(): Promise<void> {
    const line = this.workbench.page.locator('[id="workbench.panel.output"] .view-line').first();
    try {
      await line.waitFor({ timeout: panelMs });
    } catch (error) {
      if (this.#hasLostClick) throw error;
      this.#hasLostClick = true;
      await this.run(texts.showLog);
      await line.waitFor();
    }
  }

  /**
   * Waits until Edit Policy is done: VS Code writes the setting into the file and offers what can be in it, a while after
   * the file is open.
   */
  async policyOffered(): Promise<void> {
    const { page } = this.workbench;
    await page.locator('.editor-instance .view-line', { hasText: 'ollamaGuard.policy' }).waitFor();
    await page.locator('.suggest-widget.visible').getByText('queue').first().waitFor();
  }

  /** Replaces the user settings in the editor that is open on them, which the window sees at once. */
  async replaceOpenSettings(settings: Settings): Promise<void> {
    const { workbench } = this;
    await workbench.page.locator('.editor-instance .view-lines').first().click();
    await workbench.setClipboard(JSON.stringify({ ...calm, ...this.#settings, ...settings }, undefined, 2));
    for (const key of ['Control+A', 'Control+V', 'Control+S']) await workbench.page.keyboard.press(key);
    await workbench.page.locator('.tab.active:not(.dirty)', { hasText: 'settings.json' }).waitFor();
  }

  /** Replaces the user settings; the window sees them after its next reload. */
  writeSettings(settings: Settings): void {
    this.window.editor.writeSettings({ ...this.#settings, ...settings });
  }

  /** The extension's own logs, with a line for every request at level debug. */
  log(): string {
    const logs = this.window.editor
      .files()
      .filter(({ name }) => name.includes(`${extensionId}/`) && name.endsWith('.log'));
    return logs.map(({ content }) => content.toString()).join('\n');
  }

  /** Takes a picture in the light and in the dark theme, or in those asked for; ends in the last. */
  async shoot(name: string, themes: readonly Theme[] = ['light', 'dark'], workbench = this.workbench): Promise<void> {
    mkdirSync(shots, { recursive: true });
    for (const theme of themes) {
      await workbench.theme(theme);
      await workbench.page.screenshot({ path: path.join(shots, `${name}-${theme}.png`) });
    }
  }

  /**
   * For `afterEach`: fails a test during which the extension host logged an error. Of a test that failed it keeps a
   * picture, and leaves no quick pick or notification in the way of the next one.
   */
  async check(test: TestContext | SuiteContext): Promise<void> {
    // `passed` is not in the types of Node 24: https://nodejs.org/docs/latest-v24.x/api/test.html#contextpassed
    if ('passed' in test && test.passed === false) {
      const { page } = this.workbench;
      mkdirSync(shots, { recursive: true });
      await page.screenshot({ path: path.join(shots, `failed-${test.name.replaceAll(/\W+/g, '-')}.png`) });
      for (let i = 0; i < 3; i++) await page.keyboard.press('Escape');
      await this.workbench.clearToasts();
    }
    const errors = this.window.takeHostErrors();
    for (const error of errors) test.diagnostic?.(error);
    assert.deepEqual(errors, [], 'the extension host logged errors');
  }

  /** Closes the window, the editor and the demo. Fails when the extension host logged errors at the very end. */
  async close(): Promise<void> {
    const errors = await this.window.close().finally(() => this.demo.stop());
    assert.deepEqual(errors, [], 'the extension host logged errors at the end');
  }
}
