import { unwatchFile, watchFile } from 'node:fs';

/** How often a running command looks for what another process changed, in milliseconds. */
const pollMs = 500;

/** A change is known to the guard that runs after this long, in milliseconds. */
export const seenAfterMs = 2 * pollMs;

/** A file that is followed. */
export interface Following {
  /** Looks now; resolves when that is done. */
  look(): Promise<void>;
  end(): void;
}

/**
 * Looks at a file now and whenever it has changed, one look after the other; and again and again while that fails, since
 * nobody tells of a change a second time.
 *
 * @param onProblem gets what a look threw, once for each new message.
 */
export function followFile(path: string, look: () => Promise<void>, onProblem: (error: unknown) => void): Following {
  let last = Promise.resolve();
  let again: NodeJS.Timeout | undefined;
  let told: string | undefined;
  let isOver = false;
  const lookOnce = async (): Promise<void> => {
    if (isOver) return;
    try {
      await look();
      told = undefined;
    } catch (error) {
      if (isOver) return;
      again = setTimeout(changed, pollMs).unref();
      const { message } = error as Error;
      if (message !== told) onProblem(error);
      told = message;
    }
  };
  const changed = (): void => {
    clearTimeout(again);
    last = last.then(lookOnce);
  };
  watchFile(path, { interval: pollMs }, changed);
  // What changed before this began would go unseen, and it begins when it has looked for the first time itself.
  changed();
  again = setTimeout(changed, pollMs).unref();
  return {
    look: () => {
      changed();
      return last;
    },
    end: () => {
      isOver = true;
      clearTimeout(again);
      unwatchFile(path, changed);
    },
  };
}
