import { createFailedLogins, type FailedLogins } from '../admission/failedLogins.ts';
import type { RefusalCode } from '../answers.ts';
import { GuardError } from '../errors.ts';
import { inviteIdOf, matchesInvite } from '../identity/invite.ts';
import {
  type ApiKeyRecord,
  createApiKeyRecord,
  type InviteRecord,
  isExpired,
  type User,
  whyBarred,
} from '../identity/users.ts';

/** An invite whose code was right, and the API key it can be exchanged for. */
export interface Offer {
  readonly user: User;
  readonly inviteId: string;
  readonly key: ApiKeyRecord;
  /** The key itself. */
  readonly apiKey: string;
}

/** Why an invite is not taken: in one way, whatever is wrong with its code or its user (SEC-48). */
export interface InviteRefusal {
  readonly refusal: RefusalCode;
  /** For the owner's log. */
  readonly reason: string;
  /** In seconds. */
  readonly retryAfter?: number;
}

/** What the desk works with. */
export interface InviteDeskPorts {
  /** See GuardHostPorts. */
  readonly redeemInvite: (inviteId: string, key: ApiKeyRecord) => Promise<void>;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Exchanges invites for API keys. */
export class InviteDesk {
  readonly #ports: InviteDeskPorts;
  readonly #now: () => number;
  /** Wrong codes count apart from failed sign-ins: neither keeps the other out. */
  readonly #failures: FailedLogins;
  #invites: ReadonlyMap<string, { readonly user: User; readonly invite: InviteRecord }> = new Map();

  constructor(ports: InviteDeskPorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
    this.#failures = createFailedLogins(undefined, this.#now);
  }

  /** Replaces the users; applies to the next code. */
  setUsers(users: readonly User[]): void {
    const entries = users.flatMap((user) =>
      (user.invites ?? []).map((invite) => [invite.id, { user, invite }] as const),
    );
    this.#invites = new Map(entries);
  }

  /**
   * Looks at a code, and uses nothing up.
   *
   * @param address the remote address, for the limiter.
   * @param isSharedWith whether the endpoint is shared with a user where the code came in.
   */
  check(code: string, address: string, isSharedWith: (user: User) => boolean): Offer | InviteRefusal {
    const waitMs = this.#failures.wait(address, undefined);
    if (waitMs > 0) {
      return { refusal: 'too-many-invites', reason: 'too many wrong invites', retryAfter: waitMs / 1_000 };
    }
    // Format before use (SEC-43).
    const found = this.#invites.get(inviteIdOf(code) ?? '');
    const matches = matchesInvite(code, found?.invite);
    if (found === undefined || !matches) return this.#fail(address, 'unknown invite');
    const { user, invite } = found;
    if (isExpired(invite, this.#now())) return this.#fail(address, 'expired invite');
    const barred = whyBarred(user, this.#now());
    if (barred !== undefined) return this.#fail(address, `invite of a user who is ${barred}`);
    if (!isSharedWith(user)) return { refusal: 'not-shared', reason: 'invite of a user it is not shared with' };
    const { keyExpiresAt } = invite;
    const { record: key, text: apiKey } = createApiKeyRecord(
      'invite',
      keyExpiresAt ? new Date(keyExpiresAt) : undefined,
    );
    return { user, inviteId: invite.id, key, apiKey };
  }

  /**
   * Uses an invite up: its key works from here on.
   *
   * @returns undefined when that is done; of many at once, one gets this.
   * @throws whatever stood in the way of storing the key; the invite is still good then.
   */
  async exchange({ inviteId, key }: Offer, address: string): Promise<InviteRefusal | undefined> {
    try {
      await this.#ports.redeemInvite(inviteId, key);
      return undefined;
    } catch (error) {
      if (GuardError.is(error, 'invite-unknown')) return this.#fail(address, 'invite that was used meanwhile');
      throw error;
    }
  }

  #fail(address: string, reason: string): InviteRefusal {
    this.#failures.record(address, undefined);
    return { refusal: 'invite-refused', reason };
  }
}
