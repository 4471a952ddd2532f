import type { JoinedEndpoint } from '../connector/joined.ts';
import type { GuardConfig } from '../guard/config.ts';
import { GuardError } from '../guard/errors.ts';
import type { UserEdit } from '../guard/identity/userEdit.ts';
import type { User } from '../guard/identity/users.ts';
import type { PolicyDocument } from '../guard/policy/policyDocument.ts';
import type { SharePlan, Sharing } from '../guard/share/sharing.ts';
import type { GuardState } from '../guard/state.ts';
import type { Activity } from '../guard/usage/activity.ts';
import { type Failure, failureOf, throwFailure } from '../threads/messages.ts';

/** Windows of another protocol do not talk to each other. Count up when anything in this file changes its meaning. */
export const protocol = 3;

/** What is meant to be running, so that another window can go on with it. */
export interface Wanted {
  readonly config: GuardConfig;
  readonly sharing?: Sharing;
}

/** Everything the windows have in common. */
export interface Snapshot {
  /** The owner's view: never `following`. */
  readonly state: GuardState;
  /** Verifiers alone. A window that takes over goes by them when its own storage is behind. */
  readonly users: readonly User[];
  /** Counts the changes of the users. */
  readonly revision: number;
  /** `memory`: the secret storage fails, and changes last until the last window closes. */
  readonly storage: 'kept' | 'memory';
  /** When a user or an API key was last let in, by id, in milliseconds since the epoch. */
  readonly lastUsed: Readonly<Record<string, number>>;
  /** Null when nothing is to be taken over. */
  readonly wanted: Wanted | null;
  /** Endpoints of others that this computer is connected to, without their keys. */
  readonly joined: readonly JoinedEndpoint[];
}

/** How a call went. Errors lose their class on the way between windows, so they travel as data. */
export type Outcome = { readonly done: true } | Failure;

/** What the owning window does for every window, itself included. */
export interface OwnerFunctions {
  start(config: GuardConfig): Promise<Outcome>;
  stop(): Promise<Outcome>;
  restart(config: GuardConfig): Promise<Outcome>;
  edit(edit: UserEdit): Promise<Outcome>;
  /** Replaces the policy of a guard that runs or starts. */
  setPolicy(policy: PolicyDocument): Promise<Outcome>;
  share(config: GuardConfig, plan: SharePlan): Promise<Outcome>;
  pauseSharing(paused: boolean): Promise<Outcome>;
  endSharing(): Promise<Outcome>;
  stopRequest(id: number): Promise<Outcome>;
  /** See JoinedKeeper. */
  join(link: string): Promise<Outcome>;
  cancelJoin(link: string): Promise<Outcome>;
  leave(id: string): Promise<Outcome>;
}

/** What a following window may ask of the owner beside that. */
export interface FollowedFunctions extends OwnerFunctions {
  /** Whether this window wants `onActivity`. */
  watch(on: boolean): void;
}

/** What the owner tells a following window. */
export interface FollowerFunctions {
  /** What changed of the snapshot; the first one is whole. */
  onSnapshot(change: Partial<Snapshot>): void;
  onActivity(activity: Activity): void;
}

/** Puts a failure into data. */
export async function outcomeOf(step: Promise<unknown>): Promise<Outcome> {
  try {
    await step;
    return { done: true };
  } catch (error) {
    return failureOf(error);
  }
}

/** @throws GuardError the failure that an outcome holds; Error for one that nobody foresaw. */
export function orThrow(outcome: Outcome): void {
  if ('done' in outcome) return;
  throwFailure(outcome);
}

/** Nobody knows whether what was asked for was done. */
export function windowGone(cause?: unknown): GuardError {
  return new GuardError(
    'window-gone',
    'The window that runs Ollama Guard did not answer. Try again, or reload the other windows.',
    { cause },
  );
}
