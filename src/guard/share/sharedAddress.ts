import type { Socket } from 'node:net';
import { isWildcard, plainAddress } from '../entry/address.ts';
import type { Listener } from '../entry/listener.ts';

/** An address to share on, and whom with. */
export interface SharedAddress {
  readonly host: string;
  /** Ids of the users it is for; all of them when left out. */
  readonly users?: readonly string[];
}

/** Sharing as it is in force. */
export interface Share {
  /** As it was asked for. */
  readonly host: string;
  readonly address: string;
  /** What listens there; undefined when the guard's own listener reaches that far. */
  readonly server: Listener | undefined;
  /** Ids of the users it is for; undefined for all of them. */
  readonly users: ReadonlySet<string> | undefined;
}

/** Whether what listens on `own` can be reached at `address` too. Node listens for IPv4 on `::` as well. */
export function reaches(own: string, address: string): boolean {
  return own === address || own === '::' || (own === '0.0.0.0' && !address.includes(':'));
}

/**
 * Whether a user may use the guard through a connection.
 *
 * @param cameBy what took the connection.
 */
export function isSharedWith(
  { address, server, users }: Share,
  userId: string,
  socket: Socket,
  cameBy: Listener | undefined,
): boolean {
  if (users === undefined || users.has(userId)) return true;
  if (server !== undefined) return cameBy !== server;
  // A shared wildcard is every address there is.
  return !isWildcard(address) && plainAddress(socket.localAddress ?? address) !== address;
}
