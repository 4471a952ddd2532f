import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import * as z from 'zod/mini';
import { GuardError } from '../guard/errors.ts';
import type { SocketChannel } from './channel.ts';

/** No message of a handshake is longer, in bytes. */
export const maxHandshakeBytes = 1024;

/** The only address windows meet at. */
export const meetingHost = '127.0.0.1';

/** What a side of a handshake knows. */
export interface Credentials {
  /** The secret of one owner's time, from `createToken`. It never goes over the wire. */
  readonly token: string;
  /** The owner's port. */
  readonly port: number;
  /** The version of what is said after the handshake. */
  readonly protocol: number;
}

/** How a follower's handshake went: `stranger` when something else is at the port, `hung-up` when nothing was said. */
export type Greeting = 'admitted' | 'stranger' | 'hung-up';

/** 32 random bytes, and what an HMAC-SHA256 looks like. */
export const token = z.string().check(z.regex(/^[\w-]{43}$/));

// Three messages, which keep their form whatever `protocol` is: that is how versions tell each other apart.
const hello = z.object({ protocol: z.int(), nonce: token, proof: token });
const welcome = z.object({ protocol: z.int(), nonce: token, proof: token });
const confirmation = z.object({ proof: token });

/** 256 random bits. */
export function createToken(): string {
  return randomBytes(32).toString('base64url');
}

/** What only a holder of the token can say, for one role in one conversation at one address. */
function prove(role: string, { token, port }: Credentials, conversation: readonly (string | number)[]): string {
  const said = JSON.stringify([role, meetingHost, port, ...conversation]);
  return createHmac('sha256', Buffer.from(token, 'base64url')).update(said).digest('base64url');
}

/** Compares two texts of the form of `token`, in constant time. */
const isSame = (one: string, other: string): boolean => timingSafeEqual(Buffer.from(one), Buffer.from(other));

/**
 * The follower's side. It proves that it has the token before the owner says a word, takes the owner's proof over both
 * nonces, and then gives its own over both: the first one alone could be a recording.
 *
 * @throws GuardError `other-version` when the owner is a true one that speaks another protocol.
 */
export async function greetOwner(channel: SocketChannel, credentials: Credentials): Promise<Greeting> {
  const { protocol } = credentials;
  const nonce = createToken();
  channel.postMessage({ protocol, nonce, proof: prove('hello', credentials, [protocol, nonce]) });
  const answer = await channel.next(maxHandshakeBytes).catch(() => 'not a message');
  if (answer === undefined) return 'hung-up';
  const { success, data: owner } = welcome.safeParse(answer);
  if (!success) return 'stranger';
  const conversation = [protocol, nonce, owner.protocol, owner.nonce];
  if (!isSame(owner.proof, prove('owner', credentials, conversation))) return 'stranger';
  if (owner.protocol !== protocol) {
    throw new GuardError(
      'other-version',
      'Another window runs a different version of Ollama Guard. Reload all windows.',
    );
  }
  channel.postMessage({ proof: prove('follower', credentials, conversation) });
  return 'admitted';
}

/** The owner's side: whether a follower is there. Whoever does not have the token gets no answer. */
export async function greetFollower(channel: SocketChannel, credentials: Credentials): Promise<boolean> {
  const next = () => channel.next(maxHandshakeBytes).catch(() => undefined);
  const { success, data: follower } = hello.safeParse(await next());
  if (!success) return false;
  if (!isSame(follower.proof, prove('hello', credentials, [follower.protocol, follower.nonce]))) return false;
  const { protocol } = credentials;
  const nonce = createToken();
  const conversation = [follower.protocol, follower.nonce, protocol, nonce];
  channel.postMessage({ protocol, nonce, proof: prove('owner', credentials, conversation) });
  if (follower.protocol !== protocol) return false;
  const last = confirmation.safeParse(await next());
  return last.success && isSame(last.data.proof, prove('follower', credentials, conversation));
}
