import { insertInvite, redeemInvite, revokeInvite } from './invite.ts';
import { insertPublicKey, removePublicKey } from './publicKey.ts';
import {
  type ApiKeyRecord,
  changeUser,
  type InviteRecord,
  insertApiKey,
  insertUser,
  type PublicKeyRecord,
  removeUser,
  revokeApiKey,
  type User,
  type UserChange,
} from './users.ts';

/**
 * A change of the users as data: one window asks another for it, and one that was made in memory can be made again on
 * what is stored. Holds verifiers alone, never a secret.
 */
export type UserEdit =
  | { readonly kind: 'add-user'; readonly user: User }
  | { readonly kind: 'remove-user'; readonly name: string }
  | { readonly kind: 'change-user'; readonly name: string; readonly change: UserChange }
  | { readonly kind: 'add-key'; readonly name: string; readonly key: ApiKeyRecord }
  | { readonly kind: 'revoke-key'; readonly keyId: string }
  | { readonly kind: 'add-public-key'; readonly name: string; readonly key: PublicKeyRecord }
  | { readonly kind: 'remove-public-key'; readonly keyId: string }
  | { readonly kind: 'add-invite'; readonly name: string; readonly invite: InviteRecord }
  /** Takes the invite away and gives its user the key: once, whoever else tries. */
  | { readonly kind: 'redeem-invite'; readonly inviteId: string; readonly key: ApiKeyRecord }
  | { readonly kind: 'revoke-invite'; readonly inviteId: string }
  /** In this order, and all of them or none. */
  | { readonly kind: 'several'; readonly edits: readonly UserEdit[] };

/**
 * The users after an edit.
 *
 * @throws GuardError what the edit's own function throws: `user-exists`, `user-unknown`, `key-unknown`,
 *   `public-key-invalid`, `public-key-unknown`, `invite-unknown`, `data-damaged`.
 */
export function applyEdit(users: readonly User[], edit: UserEdit): readonly User[] {
  switch (edit.kind) {
    case 'add-user':
      return insertUser(users, edit.user);
    case 'remove-user':
      return removeUser(users, edit.name);
    case 'change-user':
      return changeUser(users, edit.name, edit.change);
    case 'add-key':
      return insertApiKey(users, edit.name, edit.key);
    case 'revoke-key':
      return revokeApiKey(users, edit.keyId);
    case 'add-public-key':
      return insertPublicKey(users, edit.name, edit.key);
    case 'remove-public-key':
      return removePublicKey(users, edit.keyId);
    case 'add-invite':
      return insertInvite(users, edit.name, edit.invite);
    case 'redeem-invite':
      return redeemInvite(users, edit.inviteId, edit.key);
    case 'revoke-invite':
      return revokeInvite(users, edit.inviteId);
    case 'several':
      return edit.edits.reduce(applyEdit, users);
  }
}
