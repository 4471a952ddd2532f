import type { Readable } from 'node:stream';

/**
 * Calls back once, when an answer has waited for its reader for so long in all: pauses of a pipe are its reader's.
 *
 * @param patienceMs in milliseconds.
 */
export function watchReader(answer: Readable, patienceMs: number, onSlow: () => void): void {
  let left = patienceMs;
  let pausedAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let isSlow = false;
  const stop = () => {
    clearTimeout(timer);
    if (timer !== undefined) left -= performance.now() - pausedAt;
    timer = undefined;
  };
  answer.on('pause', () => {
    stop();
    if (isSlow) return;
    pausedAt = performance.now();
    timer = setTimeout(
      () => {
        isSlow = true;
        onSlow();
      },
      Math.max(0, left),
    ).unref();
  });
  answer.on('resume', stop).on('close', stop);
}
