import { type Disposable, type Tab, window, workspace } from 'vscode';
import type { User } from '../guard/identity/users.ts';
import type { ContextKeys } from './contextKeys.ts';
import type { GuardService } from './guardService.ts';
import { settingsSection, type WalkthroughStep, walkthroughSteps } from './ids.ts';
import { hasPolicy } from './settings.ts';
import type { UpstreamWatch } from './upstreamWatch.ts';

/** VS Code begins to listen a moment after it has opened the page, in milliseconds. */
const settleMs = 1_000;

/**
 * Ticks the walkthrough's steps off as they are done, in whatever way. A context key that is set before VS Code listens
 * for it counts as seen and never ticks its step off (1.139, `registerDoneListeners`), so none is set before a page
 * was opened that may be the walkthrough; what was done until then is told then.
 */
export class Walkthrough implements Disposable {
  readonly #keys: ContextKeys;
  readonly #subscriptions: readonly Disposable[];
  readonly #done = new Set<WalkthroughStep>();
  #listening = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(keys: ContextKeys, guard: GuardService, upstream: UpstreamWatch) {
    this.#keys = keys;
    this.#subscriptions = [
      guard.onDidChange(({ state, users }) => {
        if (users !== undefined && users.length > 0) this.done('user');
        if (users?.some(hasOwnAccess)) this.done('access');
        if (state !== undefined && guard.endpoint !== undefined) this.done('start');
      }),
      upstream.onDidChange((answers) => {
        if (answers) this.done('check');
      }),
      workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration(`${settingsSection}.policy`)) this.#lookAtPolicy();
      }),
      window.tabGroups.onDidChangeTabs(({ opened }) => this.#look(opened)),
    ];
    this.#lookAtPolicy();
    this.#look(window.tabGroups.all.flatMap(({ tabs }) => tabs));
  }

  /** A step is done. */
  done(step: WalkthroughStep): void {
    this.#done.add(step);
    if (this.#listening) this.#tell();
  }

  #lookAtPolicy(): void {
    if (hasPolicy()) this.done('fair');
  }

  /** The walkthrough is a page of VS Code's own, of no kind that extensions know. */
  #look(tabs: readonly Tab[]): void {
    if (this.#listening || tabs.every(({ input }) => input !== undefined)) return;
    this.#timer ??= setTimeout(() => {
      this.#listening = true;
      this.#tell();
    }, settleMs);
  }

  #tell(): void {
    for (const step of this.#done) this.#keys.set(walkthroughSteps[step], true);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}

/** Whether somebody was given more or less than a role. */
function hasOwnAccess({ models, limits, publicKeys }: User): boolean {
  return [models, limits, publicKeys].some((own) => own !== undefined);
}
