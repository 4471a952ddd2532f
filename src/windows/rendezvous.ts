import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemErrorCode } from '../guard/errors.ts';
import { type ControlChannel, SocketChannel } from './channel.ts';
import { greetOwner, meetingHost } from './handshake.ts';
import { type OwnerRecord, OwnerRecords } from './ownerRecords.ts';
import { Reception } from './reception.ts';

/** What a window is among the others. */
export type Membership =
  | {
      readonly role: 'owner';
      /** Followers that came before are told of at once. */
      onFollower(listener: (channel: ControlChannel) => void): void;
      /** Lets the followers go; the first of them becomes the owner. */
      close(): Promise<void>;
    }
  | { readonly role: 'follower'; readonly channel: ControlChannel };

export interface JoinOptions {
  /** The folder that all windows have in common. Made when it is missing. */
  readonly folder: string;
  /** The version of what windows say to each other. */
  readonly protocol: number;
  /** Gives up. What `join` has resolved with stays as it is. */
  readonly signal?: AbortSignal;
}

/**
 * What was found where an owner should be: its channel, or
 * - `absent`: nobody listens there, or something else does;
 * - `hung-up`: the connection was ended without a word;
 * - `unclear`: this computer's troubles, such as too many open files.
 */
type Encounter = SocketChannel | 'absent' | 'hung-up' | 'unclear';

/**
 * An owner hangs up on a window when strangers press in on it, or while it goes. This many times in a row are something
 * else that got its port, and another process its pid.
 */
const maxHangUps = 5;

/** While an owner says nothing, its process is looked for this often, in milliseconds. */
const lookMs = 3_000;

/** Between two tries, in milliseconds; drawn anew for each, so that windows do not move in step. */
const pauseMs = () => 100 + Math.random() * 400;

/**
 * Joins the other windows: follows the one that owns the guard or, when there is none, becomes the owner. Of all the
 * windows that use one folder, one is the owner, whenever they come and however they end. An owner that does not answer
 * is waited for while its process lives: an extension that blocks its event loop has the same looks.
 *
 * @throws GuardError `data-unavailable` when the folder cannot be used, `other-version` when the owner speaks another
 *   protocol, `address-not-available` when there is no listening on the loopback address.
 * @throws the reason of `signal`.
 */
export async function join({ folder, protocol, signal }: JoinOptions): Promise<Membership> {
  signal?.throwIfAborted();
  const records = await OwnerRecords.open(folder);
  let hangUps = 0;
  for (;;) {
    signal?.throwIfAborted();
    const { generation, record } = await records.latest();
    const encounter = record === undefined ? 'absent' : await meet(record, protocol, signal);
    if (encounter instanceof SocketChannel) return { role: 'follower', channel: encounter };
    signal?.throwIfAborted();
    hangUps = encounter === 'hung-up' ? hangUps + 1 : 0;
    if (encounter === 'absent' || hangUps === maxHangUps || !isAlive(record?.pid)) {
      hangUps = 0;
      const owner = await takeOver(records, generation + 1, protocol, signal);
      if (owner !== undefined) return owner;
    } else {
      await sleep(pauseMs(), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Looks for the owner where it says it is, for as long as it may be there. */
async function meet({ pid, port, token }: OwnerRecord, protocol: number, signal?: AbortSignal): Promise<Encounter> {
  signal?.throwIfAborted();
  const socket = connect({ host: meetingHost, port, noDelay: true, keepAlive: true });
  let failure: string | undefined;
  socket.on('error', (error) => {
    failure = systemErrorCode(error);
  });
  const channel = new SocketChannel(socket);
  const end = () => channel.destroy();
  signal?.addEventListener('abort', end);
  const look = setInterval(() => isAlive(pid) || end(), lookMs);
  try {
    const greeting = await greetOwner(channel, { token, port, protocol });
    if (greeting === 'admitted' && !channel.closed) return channel;
    end();
    if (greeting === 'stranger' || failure === 'ECONNREFUSED') return 'absent';
    return failure === undefined || failure === 'ECONNRESET' || failure === 'EPIPE' ? 'hung-up' : 'unclear';
  } catch (error) {
    end();
    throw error;
  } finally {
    clearInterval(look);
    signal?.removeEventListener('abort', end);
  }
}

/** Becomes the owner of a generation; undefined when another window does, or this one gives up. */
async function takeOver(
  records: OwnerRecords,
  generation: number,
  protocol: number,
  signal?: AbortSignal,
): Promise<Membership | undefined> {
  // Whoever reads the record finds somebody there, so it listens first.
  const reception = await Reception.open(protocol);
  const close = async () => {
    await reception.close();
    await records.leave(generation);
  };
  try {
    const { port, token } = reception.credentials;
    const isOwner = await records.claim(generation, { pid: process.pid, port, token });
    if (isOwner && !signal?.aborted) {
      return { role: 'owner', onFollower: (listener) => reception.onFollower(listener), close };
    }
    await (isOwner ? close() : reception.close());
    return undefined;
  } catch (error) {
    await reception.close();
    throw error;
  }
}

/** Whether there is a process of this id. It may be another one by now. */
function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch (error) {
    // EPERM: another user's, who may have waited for this id and listen at the port. Of Windows it tells less.
    return systemErrorCode(error) !== 'ESRCH' && process.platform === 'win32';
  }
}
