/**
 * One VS Code on one imaginary computer: its own user data, extensions, HOME and browser profile in a temporary folder;
 * code-server as the server side, headless Chromium as the window. All traffic stays on 127.0.0.1.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { errorsOfExtensions } from './hostLog.ts';
import { chromiumPath, nodePath } from './setup.ts';
import { Workbench } from './workbench.ts';

const entry = path.join(import.meta.dirname, 'node_modules', 'code-server', 'out', 'node', 'entry.js');

/** A setting's value, as it stands in settings.json. */
export type Setting = string | number | boolean | null | readonly Setting[] | { readonly [key: string]: Setting };

/** User settings by their full names. */
export type Settings = Readonly<Record<string, Setting>>;

/** Quiet and the same everywhere: no welcome pages, chat, telemetry, updates or motion. */
export const calm: Settings = {
  'workbench.startupEditor': 'none',
  'workbench.editor.useModal': 'off',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.enableExperiments': false,
  'chat.disableAIFeatures': true,
  'telemetry.telemetryLevel': 'off',
  'extensions.autoUpdate': 'off',
  'extensions.autoCheckUpdates': false,
  'extensions.ignoreRecommendations': true,
  'update.mode': 'none',
  'remote.autoForwardPorts': false,
  'git.enabled': false,
  // The window follows page.emulateMedia({ colorScheme }), live.
  'window.autoDetectColorScheme': true,
  'workbench.preferredDarkColorTheme': 'Dark Modern',
  'workbench.preferredLightColorTheme': 'Light Modern',
};

/** A port nobody listens on at the moment. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, host, resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Asks `condition` until it gives something, and throws with `what` when it does not for 20 s. */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const giveUp = performance.now() + 20_000;
  for (;;) {
    const result = await condition();
    if (result !== undefined && result !== false) return result;
    if (performance.now() > giveUp) throw new Error(`waited in vain: ${what}`);
    await sleep(50);
  }
}

/** What `read` gives, or nothing when the file went in the meantime, as a browser's temporary files do. */
function existing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isHealthy(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/healthz', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('error', () => resolve(false));
  });
}

/** The N of `exthostN` in a path. */
function hostNumber(name: string): number {
  return Number(/exthost(\d+)/.exec(name)?.[1]);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Lets a signal end this process by way of `exit`, at once, so that editors and browsers are taken along. */
function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Before the test runner's own handler, which waits for what will not come.
    process.prependOnceListener(signal, () => process.exit(1));
  }
}

/** What differs between one editor and another. */
export interface EditorOptions {
  /** The packaged extensions (vsix files) to install. */
  readonly extensions: readonly string[];
  /** User settings beside the calm ones. */
  readonly settings?: Settings;
  /** The editor's port; a free one by default. */
  readonly port?: number;
  /** Whether folders have to be trusted first, as they have for everybody; no by default. */
  readonly workspaceTrust?: boolean;
  /** How long an extension host waits for its window to come back, in seconds; 1 by default, 3 hours in real life. */
  readonly graceSeconds?: number;
  /** Pixels of a picture to a CSS pixel; 1 by default. Of no effect without a window. */
  readonly deviceScaleFactor?: number;
}

/** A running editor without a window: the part that `try:vscode` shows in somebody's own browser. */
export class Editor {
  readonly root = mkdtempSync(path.join(tmpdir(), 'ollama-guard-e2e-'));
  readonly folder = path.join(this.root, 'project');
  readonly data = path.join(this.root, 'data');
  #server: ChildProcess | undefined;
  #url = '';

  /** Installs the extensions and starts the editor. */
  static async start(options: EditorOptions): Promise<Editor> {
    const editor = new Editor();
    process.once('exit', editor.#abandon);
    try {
      for (const folder of [editor.folder, path.join(editor.root, 'home')]) mkdirSync(folder);
      editor.writeSettings(options.settings ?? {});
      for (const vsix of options.extensions) editor.#run('--install-extension', vsix, '--force');
      await editor.#serve(options.port ?? (await freePort()), options);
      return editor;
    } catch (error) {
      await editor.stop();
      throw error;
    }
  }

  /** Where a browser finds this editor, with its project folder open. */
  get url(): string {
    return this.urlOf(this.folder);
  }

  /** Where a browser finds this editor with another folder open. */
  urlOf(folder: string): string {
    mkdirSync(folder, { recursive: true });
    return `${this.#url}/?folder=${encodeURIComponent(folder)}`;
  }

  /** Where a browser finds this editor with a workspace file (`.code-workspace`) open. */
  urlOfWorkspace(file: string): string {
    return `${this.#url}/?workspace=${encodeURIComponent(file)}`;
  }

  /** Where a browser finds this editor with a folder open that is in a file system of an extension. */
  urlOfVirtual(uri: string): string {
    return `${this.#url}/?folder=${encodeURIComponent(uri)}`;
  }

  /** The processes of the extension hosts that still run, in the order in which their windows were opened. */
  hostProcesses(): number[] {
    return globSync('logs/*/exthost*/remoteexthost.log', { cwd: this.data })
      .sort((a, b) => hostNumber(a) - hostNumber(b))
      .map(
        (name) => /Extension host with pid (\d+) started/.exec(readFileSync(path.join(this.data, name), 'utf8'))?.[1],
      )
      .map(Number)
      .filter((pid) => pid > 0 && isRunning(pid));
  }

  /** Replaces the user settings. A window that is open sees them after its next reload. */
  writeSettings(settings: Settings): void {
    const file = path.join(this.data, 'User', 'settings.json');
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify({ ...calm, ...settings }, undefined, 2));
  }

  /** Every file that editor, extensions and browser keep: settings, state, logs, the browser's profile. */
  files(): { readonly name: string; readonly content: Buffer }[] {
    const found = existing(() => readdirSync(this.root, { recursive: true, withFileTypes: true }));
    if (found === undefined) return this.files();
    return found
      .filter((entry) => entry.isFile())
      .flatMap((entry) => {
        const file = path.join(entry.parentPath, entry.name);
        const content = existing(() => readFileSync(file));
        return content === undefined ? [] : [{ name: path.relative(this.root, file), content }];
      });
  }

  /** The errors in the extension hosts' own logs, where what extensions throw ends up, each with its stack. */
  hostLogErrors(): string[] {
    return globSync('logs/*/exthost*/remoteexthost.log', { cwd: this.data }).flatMap((name) =>
      errorsOfExtensions(readFileSync(path.join(this.data, name), 'utf8')),
    );
  }

  /** A file in the folder that the editor gives an extension for its global storage. */
  storage(extension: string, file: string): string {
    return path.join(this.data, 'User', 'globalStorage', extension, file);
  }

  /** Ends the editor with everything it started. Its files stay to be looked at. */
  async end(): Promise<void> {
    if (!this.#isServing()) return;
    const gone = new Promise((resolve) => this.#server?.once('exit', resolve));
    this.#signal('SIGTERM');
    const impatience = setTimeout(() => this.#signal('SIGKILL'), 5_000);
    await gone;
    clearTimeout(impatience);
  }

  /** Ends the editor and removes its folder. */
  async stop(): Promise<void> {
    await this.end();
    process.off('exit', this.#abandon);
    this.#clear();
  }

  /** The last resort of a process that ends without having stopped its editor, after Ctrl+C for one. */
  readonly #abandon = (): void => {
    if (this.#isServing()) this.#signal('SIGKILL');
    this.#clear();
  };

  #isServing(): boolean {
    return this.#server?.pid !== undefined && this.#server.exitCode === null && this.#server.signalCode === null;
  }

  /** Signals the process group that the server leads: extension hosts and watchers are in it, and nothing else. */
  #signal(signal: NodeJS.Signals): void {
    if (this.#server?.pid !== undefined) process.kill(-this.#server.pid, signal);
  }

  #clear(): void {
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }

  #arguments(): string[] {
    return [
      entry,
      ...['--config', path.join(this.root, 'config.yaml')],
      ...['--user-data-dir', this.data],
      ...['--extensions-dir', path.join(this.root, 'extensions')],
    ];
  }

  #environment(): NodeJS.ProcessEnv {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(VSCODE_|XDG_|NODE_|npm_)/.test(name));
    return {
      ...Object.fromEntries(inherited),
      PATH: path.dirname(nodePath) + path.delimiter + process.env.PATH,
      HOME: path.join(this.root, 'home'),
      EXTENSIONS_GALLERY: '{}', // Asks no extension marketplace for anything.
    };
  }

  #run(...args: readonly string[]): void {
    execFileSync(nodePath, [...this.#arguments(), ...args], { env: this.#environment(), stdio: 'pipe' });
  }

  async #serve(port: number, { workspaceTrust = false, graceSeconds = 1 }: EditorOptions): Promise<void> {
    const logFile = path.join(this.root, 'server.log');
    const log = openSync(logFile, 'a');
    const flags = [
      '--disable-telemetry',
      '--disable-update-check',
      '--ignore-last-opened',
      // Now and then a window that reloads does not end its extension host, which then waits in vain for hours, in the
      // way of the next one. A second, so that it is gone when the next one comes.
      ...['--reconnection-grace-time', String(graceSeconds)],
      ...(workspaceTrust ? [] : ['--disable-workspace-trust']),
    ];
    const server = spawn(
      nodePath,
      [...this.#arguments(), '--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, ...flags],
      { env: this.#environment(), stdio: ['ignore', log, log], detached: true },
    );
    closeSync(log);
    this.#server = server;
    await until('code-server answers', () => {
      if (server.exitCode !== null) throw new Error(`code-server ended:\n${readFileSync(logFile, 'utf8')}`);
      return isHealthy(port);
    });
    this.#url = `http://127.0.0.1:${port}`;
  }
}

/** An editor with one window, and everything that went wrong in it. */
export class EditorWindow {
  readonly editor: Editor;
  readonly workbench: Workbench;
  readonly #browser: BrowserContext;
  readonly #consoleErrors: string[] = [];
  readonly #seen = new Set<string>();
  readonly #foreignRequests: string[] = [];

  private constructor(editor: Editor, browser: BrowserContext, page: Page) {
    this.editor = editor;
    this.#browser = browser;
    this.workbench = new Workbench(page);
    this.#listen(page);
    browser.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      // vscode-cdn.net is answered by the service worker of webviews, in the browser itself.
      const isLocal = hostname === '127.0.0.1' || hostname.endsWith('.vscode-cdn.net');
      if (protocol.startsWith('http') && !isLocal) this.#foreignRequests.push(request.url());
    });
  }

  /** Starts an editor and opens a window on it. */
  static async open(options: EditorOptions): Promise<EditorWindow> {
    exitOnSignals();
    const editor = await Editor.start(options);
    try {
      const browser = await chromium.launchPersistentContext(path.join(editor.root, 'profile'), {
        executablePath: chromiumPath,
        // Playwright would close the browser and let the process go on; see exitOnSignals.
        handleSIGINT: false,
        handleSIGTERM: false,
        handleSIGHUP: false,
        viewport: { width: 1120, height: 640 },
        deviceScaleFactor: options.deviceScaleFactor ?? 1,
        colorScheme: 'dark',
        reducedMotion: 'reduce',
        permissions: ['clipboard-read', 'clipboard-write'],
        args: [
          '--no-sandbox', // Chromium's sandbox does not start as root.
          '--disable-gpu',
          '--no-first-run',
          '--disable-background-networking',
          '--disable-component-update',
          '--disable-sync',
          '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
        ],
      });
      const window = new EditorWindow(editor, browser, browser.pages()[0] ?? (await browser.newPage()));
      await window.workbench.open(editor.url);
      return window;
    } catch (error) {
      await editor.stop();
      throw error;
    }
  }

  /** Opens another window of the same editor, on a folder of its own. */
  async openAnother(): Promise<Workbench> {
    const page = await this.#browser.newPage();
    this.#listen(page);
    const workbench = new Workbench(page);
    await workbench.open(this.editor.urlOf(`${this.editor.folder}-${this.#browser.pages().length}`));
    return workbench;
  }

  #listen(page: Page): void {
    page.on('console', (message) => {
      // What an extension throws and nobody catches arrives as `[publisher.name]message`.
      if (message.type() === 'error' && /^\[[\w-]+\.[\w-]+\]/.test(message.text())) {
        this.#consoleErrors.push(message.text());
      }
    });
  }

  /** Errors of extensions that were not taken before, from the extension hosts' logs and the window's console. */
  takeHostErrors(): string[] {
    const logged = this.editor.hostLogErrors().filter((entry) => !this.#seen.has(entry));
    for (const entry of logged) this.#seen.add(entry);
    return [...logged, ...this.#consoleErrors.splice(0)];
  }

  /** What the window asked of other computers. */
  foreignRequests(): readonly string[] {
    return this.#foreignRequests;
  }

  /** Closes the window, ends the editor, and gives the errors that were not taken until then. */
  async close(): Promise<string[]> {
    // A promise that is rejected unheard is logged after one second.
    await sleep(1_500);
    await this.#browser.close();
    await this.editor.end();
    const errors = this.takeHostErrors();
    await this.editor.stop();
    return errors;
  }
}
