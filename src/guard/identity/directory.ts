import { createHash } from 'node:crypto';
import { decoyHash } from './password.ts';
import type { ApiKeyRecord, PublicKeyRecord, User } from './users.ts';

/** Users indexed for sign-in: a check costs the same for ten users as for ten thousand. */
export interface Directory {
  readonly size: number;
  byName(name: string): User | undefined;
  /** The same for a name in any letter case. */
  byNameInAnyCase(name: string): User | undefined;
  byKeyId(id: string): { readonly user: User; readonly key: ApiKeyRecord } | undefined;
  /** @param blob the public key in base64, as its record has it. */
  byPublicKey(blob: string): { readonly user: User; readonly key: PublicKeyRecord } | undefined;
  /** What to compare a password with when its user has no hash or does not exist. */
  decoyFor(name: string): string;
}

/** Indexes users once, when they change. */
export function createDirectory(users: readonly User[]): Directory {
  const names = new Map(users.map((user) => [user.name, user]));
  const folded = new Map(users.map((user) => [user.name.toLowerCase(), user]));
  const keys = new Map(users.flatMap((user) => user.keys.map((key) => [key.id, { user, key }] as const)));
  const publicKeys = new Map(
    users.flatMap((user) => (user.publicKeys ?? []).map((key) => [key.blob, { user, key }] as const)),
  );
  const hashes = users.flatMap(({ passwordHash }) => (passwordHash === undefined ? [] : [passwordHash]));
  return {
    size: users.length,
    byName: (name) => names.get(name),
    byNameInAnyCase: (name) => folded.get(name.toLowerCase()),
    byKeyId: (id) => keys.get(id),
    byPublicKey: (blob) => publicKeys.get(blob),
    // Imported hashes may be of other costs. A name always meets the same cost, one that some user has.
    decoyFor(name) {
      if (hashes.length === 0) return decoyHash();
      const pick = createHash('sha256').update(name).digest().readUInt32BE(0) % hashes.length;
      return decoyHash(hashes[pick]);
    },
  };
}
