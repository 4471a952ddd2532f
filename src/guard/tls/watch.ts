import { isDeepStrictEqual } from 'node:util';
import { GuardError } from '../errors.ts';
import type { Message } from '../message.ts';

/** Between looks, in milliseconds: a new address is in the certificate, and a new file in use, well within 5 s. */
const intervalMs = 2_000;

/**
 * Looks every two seconds, one look at a time, and tells of the problem that stands when it is another than before. The
 * wait between looks keeps no process alive.
 *
 * @param look gives the problem that stands after it, undefined for none; what it throws is one. Gets the one before.
 * @param told the problem that stands already.
 * @returns ends it; nothing is told from then on.
 */
export function watch(
  look: (standing: Message | undefined) => Promise<Message | undefined>,
  onProblem: (problem: Message | undefined) => void,
  told: Message | undefined,
): () => void {
  let standing = told;
  let closed = false;
  let timer: NodeJS.Timeout;
  const lookOnce = async () => {
    const problem = await look(standing).catch(problemOf);
    if (closed) return;
    if (!isDeepStrictEqual(problem, standing)) onProblem(problem);
    standing = problem;
    wait();
  };
  const wait = () => {
    timer = setTimeout(() => void lookOnce(), intervalMs).unref();
  };
  wait();
  return () => {
    closed = true;
    clearTimeout(timer);
  };
}

function problemOf(error: unknown): Message {
  if (GuardError.is(error)) return error.detail;
  return { text: 'No newer certificate could be made: {reason}', args: { reason: String(error) } };
}
