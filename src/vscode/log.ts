import type { Disposable, LogOutputChannel } from 'vscode';
import type { GuardEvent } from '../guard/usage/events.ts';
import { type LogLevel, readLogLevel } from './settings.ts';

const ranks: Readonly<Record<LogLevel, number>> = { error: 0, info: 1, debug: 2 };

/** Cuts API keys and codes of invites out of a text, whoever put them there: the log is the last place to keep one. */
function redact(text: string): string {
  return text.replace(/\b(o[gi]_[a-z2-9]{10})_[A-Za-z0-9_-]+/g, '$1_…').replace(/\b(Basic|Bearer) \S+/gi, '$1 …');
}

/** The guard's log in the Output panel. Log lines are not localised. */
export class Log implements Disposable {
  readonly #channel: LogOutputChannel;
  #closed = false;

  constructor(channel: LogOutputChannel) {
    this.#channel = channel;
  }

  show(): void {
    this.#channel.show(true);
  }

  info(text: string): void {
    if (this.#shows('info')) this.#channel.info(redact(text));
  }

  error(text: string): void {
    if (this.#shows('error')) this.#channel.error(redact(text));
  }

  /** Writes what the guard reported, as far as the log level goes. */
  events(events: readonly GuardEvent[], dropped: number): void {
    for (const event of events) this.#event(event);
    if (dropped > 0) this.info(`${dropped} lines left out`);
  }

  #event(event: GuardEvent): void {
    switch (event.type) {
      case 'request': {
        if (!this.#shows('debug')) return;
        const { status, method, path, user, address, milliseconds, complete } = event;
        const end = complete ? '' : ' (cut off)';
        this.#channel.info(`${status ?? '-'} ${method} ${path} ${user ?? '-'} ${address} ${milliseconds} ms${end}`);
        return;
      }
      case 'sign-in-failed':
        if (this.#shows('info')) this.#channel.warn(`Sign-in failed from ${event.address}: ${event.reason}`);
        return;
      case 'invite-redeemed':
        this.info(`Invite of ${event.user} used from ${event.address}: API key ${event.keyId}`);
        return;
      case 'error':
        this.error(event.message);
    }
  }

  #shows(level: LogLevel): boolean {
    return !this.#closed && ranks[level] <= ranks[readLogLevel()];
  }

  /** Closes the channel, which throws from then on. What the guard reports while the window closes is left out. */
  dispose(): void {
    this.#closed = true;
    this.#channel.dispose();
  }
}
