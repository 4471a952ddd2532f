import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RefusalCode } from '../answers.ts';

/** Requests under way on one connection; clients that pipeline at all stay below this. */
const maxPipelined = 8;

/** Whoever goes on after so many is cut off: refusals that pile up unread would hide that a client has left. */
const floodPipelined = 8 * maxPipelined;

/** How many requests of a connection are being answered. */
const open = new WeakMap<Socket, number>();

/** Responses that wait behind another, by their connection. */
const waiting = new WeakMap<Socket, Set<ServerResponse>>();

/** Waits until the answers before this one on its connection are over, or the connection is. */
export async function afterEarlierAnswers(res: ServerResponse): Promise<void> {
  if (res.socket !== null || res.destroyed) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  res.once('socket', () => resolve()).once('close', resolve);
  await promise;
}

/**
 * Closes a response that waits behind another when their connection is over. Node before 24 does not, though whatever a
 * request holds is given back at that event: https://github.com/nodejs/node/issues/39988. To be called once a request.
 */
export function closeWithConnection({ socket }: IncomingMessage, res: ServerResponse): void {
  if (res.socket !== null) return;
  const others = waiting.get(socket) ?? watch(socket);
  others.add(res);
  const settle = () => void others.delete(res);
  res.once('socket', settle).once('close', settle);
}

/** One listener, however many wait. */
function watch(socket: Socket): Set<ServerResponse> {
  const responses = new Set<ServerResponse>();
  waiting.set(socket, responses);
  socket.on('close', () => {
    // Where Node does it, Node comes first.
    for (const res of responses) setImmediate(close, res);
  });
  return responses;
}

function close(res: ServerResponse): void {
  if (res.closed) return;
  res.destroy();
  res.emit('close');
}

/**
 * Each pipelined request would take a connection to the other side, so a client connection may not hold many. To be
 * asked once a request.
 */
export function pipelineProblem(req: IncomingMessage, res: ServerResponse): RefusalCode | undefined {
  const { socket } = req;
  const count = (open.get(socket) ?? 0) + 1;
  open.set(socket, count);
  res.on('close', () => open.set(socket, (open.get(socket) ?? 1) - 1));
  if (count > floodPipelined) socket.destroy();
  return count > maxPipelined ? 'pipelined' : undefined;
}
