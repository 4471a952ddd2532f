import type { QueueSnapshot } from './fairQueue.ts';

/** Who looks at the queue. */
export interface QueueViewer {
  readonly userId: string;
  /** Whether it may see whose the other requests are. */
  readonly seesAll: boolean;
}

/** The queue as `GET /_guard/queue` answers it. */
export interface QueueView {
  /** How many requests Ollama is given at once, how many it has, and how many wait. */
  readonly concurrency: number;
  readonly running: number;
  readonly waiting: number;
  /** The viewer's own requests that wait, or everybody's. */
  readonly requests: readonly { readonly user: string; readonly position: number; readonly waitedSeconds: number }[];
}

/** Shows a user its own requests in the queue, and whoever manages Ollama everybody's. */
export function queueView(
  { concurrency, running, length, waiting }: QueueSnapshot,
  { userId, seesAll }: QueueViewer,
): QueueView {
  const shown = waiting.filter((request) => seesAll || request.userId === userId);
  return {
    concurrency,
    running,
    waiting: length,
    requests: shown.map(({ name, position, waitedMs }) => ({
      user: name,
      position,
      waitedSeconds: Math.round(waitedMs / 1_000),
    })),
  };
}
