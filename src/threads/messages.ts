import type { MessagePort } from 'node:worker_threads';
import { type BirpcOptions, type BirpcReturn, createBirpc } from 'birpc';
import type { GuardConfig } from '../guard/config.ts';
import { GuardError, type GuardErrorCode } from '../guard/errors.ts';
import type { ApiKeyRecord, User } from '../guard/identity/users.ts';
import { inEnglish, type Message } from '../guard/message.ts';
import type { PolicyDocument } from '../guard/policy/policyDocument.ts';
import type { SharedAddress } from '../guard/share/sharedAddress.ts';
import type { EndpointTls } from '../guard/tls/certificate.ts';
import type { VaultEntry } from '../guard/tls/vault.ts';
import type { Report } from '../guard/usage/events.ts';

/** Why something failed. Errors lose their class on the way between threads, so code and words travel as data. */
export interface Failure {
  /** Undefined when it broke in a way nobody foresaw. */
  readonly code: GuardErrorCode | undefined;
  readonly detail: Message;
}

/** How a start went. */
export type StartResult = { readonly url: string; readonly tls: EndpointTls | undefined } | Failure;

/** How sharing went; without a URL nothing is shared. A guard that began on loopback may encrypt only from here on. */
export type ShareResult = { readonly url: string | undefined; readonly tls: EndpointTls | undefined } | Failure;

/** What the vault holds, once it was read or written. */
export type VaultResult = { readonly text: string | undefined } | Failure;

/** What the guard thread does for the host. */
export interface GuardThreadFunctions {
  start(config: GuardConfig, users: readonly User[]): Promise<StartResult>;
  stop(drainMs: number): Promise<void>;
  setUsers(users: readonly User[]): void;
  setPolicy(policy: PolicyDocument): void;
  watchActivity(on: boolean): void;
  stopRequest(id: number): boolean;
  share(plan: SharedAddress | undefined): Promise<ShareResult>;
}

/** What the host takes from the guard thread. */
export interface GuardHostFunctions {
  onReport(report: Report): void;
  onTls(tls: EndpointTls): void;
  readVault(entry: VaultEntry): Promise<VaultResult>;
  writeVault(entry: VaultEntry, text: string): Promise<VaultResult>;
  redeemInvite(inviteId: string, key: ApiKeyRecord): Promise<Failure | undefined>;
}

/** What the hash thread does for both. */
export interface HashThreadFunctions {
  hash(password: string): string;
  compare(password: string, hash: string): boolean;
}

/** Handed to the guard thread when it is made. */
export interface GuardThreadData {
  readonly hashPort: MessagePort;
  readonly dataFolder: string | undefined;
}

/** Handed to the hash thread whenever somebody wants to talk to it. */
export interface HashConnect {
  readonly port: MessagePort;
}

/** Anything two threads talk over: a worker, a port, the parent's port. */
export interface Channel {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

/** Opens typed calls over a channel. */
export function connect<Remote extends object, Local extends object>(
  channel: Channel,
  local: Local,
  options: Pick<BirpcOptions<Remote, Local>, 'eventNames'> = {},
): BirpcReturn<Remote, Local> {
  return createBirpc<Remote, Local>(local, {
    ...options,
    post: (message) => channel.postMessage(message),
    on: (listener) => channel.on('message', listener),
  });
}

/**
 * An error as data.
 *
 * @param text what to say of one that nobody foresaw, with a place for its `{reason}`.
 */
export function failureOf(error: unknown, text = '{reason}'): Failure {
  if (GuardError.is(error)) return { code: error.code, detail: error.detail };
  return { code: undefined, detail: { text, args: { reason: String(error) } } };
}

/** @throws GuardError the failure that a result is; Error for one that nobody foresaw. */
export function throwFailure({ code, detail }: Failure): never {
  throw code === undefined ? new Error(inEnglish(detail)) : new GuardError(code, detail.text, { args: detail.args });
}
