import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startDemoOllama } from '../../../src/demo/demoOllama.ts';
import { type GuardConfig, parseConfig } from '../../../src/guard/config.ts';
import type { Group } from '../../../src/windows/group.ts';
import { freePort } from '../../support/freePort.ts';
import { request } from '../../support/rawClient.ts';
import { Signal } from '../../support/signal.ts';
import type { Asked, GroupView, Told } from './groupProcess.ts';
import { temporaryFolder } from './support.ts';

const script = join(import.meta.dirname, 'groupProcess.ts');

/** A window that runs in a process of its own. */
export class GroupWindow {
  readonly #child: ChildProcess;
  readonly #changed: Signal;
  readonly #answers = new Map<number, string | undefined>();
  #calls = 0;
  view: GroupView | undefined;
  readonly statuses: string[] = [];
  activities = 0;
  readonly troubles: string[] = [];
  exit: { readonly code: number | null; readonly signal: string | null } | undefined;

  constructor(changed: Signal, folder: string, usersFile: string) {
    this.#changed = changed;
    this.#child = fork(script, [folder, usersFile]);
    this.#child.on('message', (told: Told) => this.#onTold(told));
    this.#child.on('exit', (code, signal) => {
      this.exit = { code, signal };
      changed.notify();
    });
  }

  get isOwner(): boolean {
    return this.exit === undefined && this.view?.isOwner === true;
  }

  get status(): string | undefined {
    return this.view?.status;
  }

  get names(): readonly string[] {
    return this.view?.snapshot.users.map(({ name }) => name) ?? [];
  }

  /** Calls the group; the code of the failure, or undefined when it went well. */
  async call<K extends keyof Group>(call: K, ...args: CallOf<K>): Promise<string | undefined> {
    const id = ++this.#calls;
    this.#child.send({ id, call, args } satisfies Asked);
    await this.#changed.until(() => {
      if (this.exit !== undefined && !this.#answers.has(id)) throw new Error('the window has gone');
      return this.#answers.has(id) || undefined;
    });
    return this.#answers.get(id);
  }

  store(store: 'works' | 'fails'): void {
    this.#child.send({ store } satisfies Asked);
  }

  /** The window goes, and leaves its extension host behind. */
  loseWindow(): void {
    this.#child.send({ window: 'gone' } satisfies Asked);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #onTold(told: Told): void {
    if ('shown' in told) {
      this.view = told.shown;
      if (this.statuses.at(-1) !== told.shown.status) this.statuses.push(told.shown.status);
    } else if ('activity' in told) this.activities += 1;
    else if ('trouble' in told) this.troubles.push(told.trouble);
    else this.#answers.set(told.id, told.failure);
    this.#changed.notify();
  }
}

/** Without what does not go from process to process. */
type CallOf<K extends keyof Group> = K extends 'join'
  ? [link: string]
  : Group[K] extends (...args: infer A) => unknown
    ? A
    : never;

/** Several windows that share a folder and the users, and a demo Ollama to guard. */
export class GroupWindows {
  readonly all: GroupWindow[] = [];
  readonly folder: string;
  readonly usersFile: string;
  readonly config: GuardConfig;
  readonly #changed = new Signal();
  readonly #t: TestContext;

  private constructor(t: TestContext, folder: string, usersFile: string, config: GuardConfig) {
    this.#t = t;
    this.folder = folder;
    this.usersFile = usersFile;
    this.config = config;
    t.after(async () => {
      for (const window of this.running) window.signal('SIGKILL');
      await this.until(() => this.running.length === 0);
    });
  }

  /** Opens windows and waits until they are together. */
  static async open(t: TestContext, count: number, subfolder = 'group'): Promise<GroupWindows> {
    const demo = await startDemoOllama({ tokensPerSecond: 20, tokens: 1_000_000 });
    t.after(() => demo.stop());
    const folder = await temporaryFolder(t);
    const config = parseConfig({ host: '127.0.0.1', port: await freePort(), upstream: demo.url });
    const windows = new GroupWindows(t, join(folder, subfolder), join(folder, 'users.json'), config);
    await windows.add(count);
    return windows;
  }

  get running(): readonly GroupWindow[] {
    return this.all.filter(({ exit }) => exit === undefined);
  }

  get owner(): GroupWindow {
    const owners = this.running.filter(({ isOwner }) => isOwner);
    assert.equal(owners.length, 1, 'one owner');
    return owners[0] ?? assert.fail();
  }

  get followers(): readonly GroupWindow[] {
    return this.running.filter(({ isOwner }) => !isOwner);
  }

  /** The first two followers. */
  get pair(): readonly [GroupWindow, GroupWindow] {
    const [one, other] = this.followers;
    assert.ok(one !== undefined && other !== undefined);
    return [one, other];
  }

  async add(count: number): Promise<readonly GroupWindow[]> {
    const added = Array.from({ length: count }, () => new GroupWindow(this.#changed, this.folder, this.usersFile));
    this.all.push(...added);
    // Ending nothing is answered as soon as there is an owner.
    await Promise.all(added.map((window) => window.call('endSharing')));
    return added;
  }

  until(check: () => boolean): Promise<true> {
    return this.#changed.until(() => check() || undefined);
  }

  /** Waits until all windows that run show what the guard does. */
  async allShow(status: 'running' | 'stopped'): Promise<void> {
    const shown = (window: GroupWindow) => (status === 'running' && !window.isOwner ? 'following' : status);
    await this.until(() => this.running.every((window) => window.status === shown(window)));
  }

  async kill(window: GroupWindow): Promise<void> {
    window.signal('SIGKILL');
    await this.until(() => window.exit !== undefined);
  }

  /** Waits until one of the rest owns the guard, and gives it. */
  async successor(): Promise<GroupWindow> {
    await this.until(() => this.running.some(({ isOwner }) => isOwner));
    return this.owner;
  }

  /** What the endpoint answers; `refused` while nobody listens. */
  async answer(authorization: string): Promise<number | 'refused'> {
    try {
      return (await request(this.#t, this.config.port, { headers: { authorization } })).status;
    } catch {
      return 'refused';
    }
  }

  get troubles(): readonly string[] {
    return this.all.flatMap(({ troubles }) => troubles);
  }
}
