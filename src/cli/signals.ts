import { once } from 'node:events';

/** Resolves when somebody ends this process, by Ctrl+C or SIGTERM; these end it at once again when `over` is aborted. */
export function untilSignalled(over: AbortSignal): Promise<unknown> {
  const signalled = Promise.race(['SIGINT', 'SIGTERM'].map((name) => once(process, name, { signal: over })));
  signalled.catch(() => undefined);
  return signalled;
}
