import { type Disposable, EventEmitter } from 'vscode';
import { GuardError } from '../guard/errors.ts';
import { upstreamAnswers } from '../guard/forward/probe.ts';
import type { GuardService } from './guardService.ts';
import { readGuardConfig } from './settings.ts';

/** How often Ollama is asked while somebody looks, and how long it may take to answer, in milliseconds. */
const everyMs = 5_000;
const patienceMs = 2_000;

/** Whether Ollama answers, asked only while somebody can see it. */
export class UpstreamWatch implements Disposable {
  readonly #upstream: () => string | undefined;
  readonly #changed = new EventEmitter<boolean>();
  #answers: boolean | undefined;
  #timer: NodeJS.Timeout | undefined;
  #watching = false;

  /** Fires when an answer differs from the one before it. */
  readonly onDidChange = this.#changed.event;

  /** @param upstream where to ask; undefined when the setting is not valid. */
  constructor(upstream: () => string | undefined) {
    this.#upstream = upstream;
  }

  /** Undefined until Ollama was asked. */
  get answers(): boolean | undefined {
    return this.#answers;
  }

  watch(on: boolean): void {
    if (this.#watching === on) return;
    this.#watching = on;
    clearTimeout(this.#timer);
    if (on) void this.#askAgain();
  }

  /** Asks now. */
  async ask(): Promise<boolean> {
    const upstream = this.#upstream();
    const answers = upstream !== undefined && (await upstreamAnswers(upstream, patienceMs));
    if (answers !== this.#answers) {
      this.#answers = answers;
      this.#changed.fire(answers);
    }
    return answers;
  }

  async #askAgain(): Promise<void> {
    await this.ask();
    if (!this.#watching) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#askAgain(), everyMs);
  }

  dispose(): void {
    this.watch(false);
    this.#changed.dispose();
  }
}

/** Watches the Ollama that the endpoint stands in front of, or would by the settings. */
export function createUpstreamWatch(guard: GuardService): UpstreamWatch {
  return new UpstreamWatch(() => {
    try {
      return guard.endpoint?.upstream ?? readGuardConfig().upstream;
    } catch (error) {
      if (GuardError.is(error)) return undefined;
      throw error;
    }
  });
}
