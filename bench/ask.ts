import type { Running } from './processes.ts';

/** Sends a message (or none) to a child with a channel and waits for the number it answers under `key`. */
export function ask(
  { child, complaint }: Pick<Running, 'child' | 'complaint'>,
  key: string,
  message?: string,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const onMessage = (answer: unknown): void => {
      const value: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, key) : undefined;
      if (typeof value !== 'number') return;
      child.off('message', onMessage);
      child.off('exit', onExit);
      resolve(value);
    };
    const onExit = (): void => reject(new Error(`A helper of the bench ended. ${complaint()}`));
    child.on('message', onMessage);
    child.once('exit', onExit);
    if (message !== undefined) child.send(message);
  });
}
