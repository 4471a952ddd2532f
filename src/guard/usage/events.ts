import type { Activity } from './activity.ts';

/** Something the owner may want to see in the log. Never holds a credential, a query or a body. */
export type GuardEvent =
  | {
      readonly type: 'request';
      readonly method: string;
      /** The canonical path; `-` when it had none. */
      readonly path: string;
      /** Left out when its client left before an answer, or was cut off. */
      readonly status?: number;
      readonly address: string;
      readonly user?: string;
      readonly milliseconds: number;
      /** False when the client or Ollama left before the end. */
      readonly complete: boolean;
    }
  | { readonly type: 'sign-in-failed'; readonly address: string; readonly user?: string; readonly reason: string }
  /** Somebody exchanged an invite for an API key. */
  | { readonly type: 'invite-redeemed'; readonly user: string; readonly keyId: string; readonly address: string }
  | { readonly type: 'error'; readonly message: string };

/** Counts of a running guard. */
export interface Counts {
  /** Requests forwarded to Ollama since the start. */
  readonly served: number;
  /** Requests being answered right now. */
  readonly active: number;
}

/** Events and counts since the last report. */
export interface Report {
  readonly events: readonly GuardEvent[];
  /** Events left out because there were too many. */
  readonly dropped: number;
  readonly counts: Counts;
  /** Ids of users and API keys that signed in since the last report, and when, in milliseconds since the epoch. */
  readonly used: Readonly<Record<string, number>>;
  /** Left out while nobody watches. */
  readonly activity?: Activity;
}

const maxEvents = 500;

/**
 * Collects events and hands them on in batches, at most one per interval and none while nothing happens, so that a busy
 * guard does not keep its owner's thread busy.
 */
export class Reporter {
  readonly #send: (report: Report) => void;
  readonly #intervalMs: number;
  #events: GuardEvent[] = [];
  #dropped = 0;
  #counts = { served: 0, active: 0 };
  /** One entry for each user and key there is, at most. */
  readonly #used = new Map<string, number>();
  #readActivity: (() => Activity) | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param intervalMs the shortest time between two reports. */
  constructor(send: (report: Report) => void, intervalMs: number) {
    this.#send = send;
    this.#intervalMs = intervalMs;
  }

  get counts(): Counts {
    return { ...this.#counts };
  }

  begin(): void {
    this.#counts.served += 1;
    this.#counts.active += 1;
    this.#schedule();
  }

  end(): void {
    this.#counts.active -= 1;
    this.#schedule();
  }

  add(event: GuardEvent): void {
    // A new key is never left out, whatever its holder floods the log with; there are as few as there are invites.
    if (this.#events.length < maxEvents || event.type === 'invite-redeemed') this.#events.push(event);
    else this.#dropped += 1;
    this.#schedule();
  }

  /** A user or API key signed in. */
  used(id: string): void {
    this.#used.set(id, Date.now());
    this.#schedule();
  }

  /** Puts the activity into every report, the first of which goes at once; undefined leaves it out again. */
  watch(readActivity: (() => Activity) | undefined): void {
    this.#readActivity = readActivity;
    if (readActivity !== undefined) this.flush();
  }

  /** The activity changed, which is reported to whoever watches. */
  activityChanged(): void {
    if (this.#readActivity !== undefined) this.#schedule();
  }

  /** Sends what is there at once. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#send({
      events: this.#events,
      dropped: this.#dropped,
      counts: this.counts,
      used: Object.fromEntries(this.#used),
      ...(this.#readActivity && { activity: this.#readActivity() }),
    });
    this.#events = [];
    this.#dropped = 0;
    this.#used.clear();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => this.flush(), this.#intervalMs).unref();
  }
}
