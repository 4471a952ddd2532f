import type { BirpcReturn } from 'birpc';
import type { Activity } from '../guard/usage/activity.ts';
import { connect } from '../threads/messages.ts';
import type { ControlChannel } from './channel.ts';
import type { FollowedFunctions, FollowerFunctions, OwnerFunctions, Snapshot } from './messages.ts';

type Follower = BirpcReturn<FollowerFunctions, FollowedFunctions>;

/** The windows that follow this one: what changes is told to them, what they ask for is passed on. */
export class Followers {
  readonly #onWatch: () => void;
  /** Whether each wants to see activity. */
  readonly #all = new Map<Follower, boolean>();

  /** @param onWatch called when `watch` may have changed. */
  constructor(onWatch: () => void) {
    this.#onWatch = onWatch;
  }

  /** Whether any of them wants to see activity. */
  get watch(): boolean {
    return [...this.#all.values()].includes(true);
  }

  /** Answers a window until its channel closes; it begins with the whole snapshot. */
  add(channel: ControlChannel, owner: OwnerFunctions, snapshot: Snapshot): void {
    const functions: FollowedFunctions = {
      ...owner,
      watch: (on) => {
        if (!this.#all.has(follower)) return;
        this.#all.set(follower, on);
        this.#onWatch();
      },
    };
    const follower: Follower = connect<FollowerFunctions, FollowedFunctions>(channel, functions, {
      eventNames: ['onSnapshot', 'onActivity'],
    });
    this.#all.set(follower, false);
    channel.onClose(() => {
      this.#all.delete(follower);
      follower.$close();
      this.#onWatch();
    });
    void follower.onSnapshot(snapshot);
  }

  publish(change: Partial<Snapshot>): void {
    for (const follower of this.#all.keys()) void follower.onSnapshot(change);
  }

  /** For those who want to see it. */
  publishActivity(activity: Activity): void {
    for (const [follower, watching] of this.#all) if (watching) void follower.onActivity(activity);
  }
}
