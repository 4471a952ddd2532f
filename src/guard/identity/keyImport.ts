import type { Message } from '../message.ts';
import { oneLine } from '../share/quote.ts';
import type { AuthorizedKey } from './authorizedKeys.ts';
import { createPublicKeyRecord } from './publicKey.ts';
import type { UserEdit } from './userEdit.ts';
import { createUser, type PublicKeyRecord, type User } from './users.ts';

/** What comes of public keys that are imported. */
export interface KeyImport {
  /** The names of those whom nobody has added yet. */
  readonly newUsers: readonly string[];
  readonly newKeys: readonly { readonly name: string; readonly key: PublicKeyRecord }[];
  /** A sentence for each key that is left out. */
  readonly leftOut: readonly Message[];
}

/** Gives each key to the user that it names. A key that its user has already is none of the new ones. */
export function planKeyImport(users: readonly User[], entries: readonly AuthorizedKey[]): KeyImport {
  const spellings = new Map(users.map(({ name }) => [name.toLowerCase(), name]));
  const holders = new Map(users.flatMap(({ name, publicKeys = [] }) => publicKeys.map(({ blob }) => [blob, name])));
  const newUsers: string[] = [];
  const newKeys: { readonly name: string; readonly key: PublicKeyRecord }[] = [];
  const leftOut: Message[] = [];
  for (const entry of entries) {
    const { user: name, blob, label } = entry;
    const holder = holders.get(blob);
    if (holder !== undefined && holder === name) continue;
    const spelling = name === undefined ? undefined : (spellings.get(name.toLowerCase()) ?? name);
    if (holder !== undefined || name === undefined || spelling !== name) {
      leftOut.push(whyLeftOut(entry, holder));
      continue;
    }
    if (!spellings.has(name.toLowerCase())) newUsers.push(name);
    spellings.set(name.toLowerCase(), name);
    holders.set(blob, name);
    newKeys.push({ name, key: createPublicKeyRecord(`ssh-ed25519 ${blob}`, label) });
  }
  return { newUsers, newKeys, leftOut };
}

/** @param holder who has the key already. */
function whyLeftOut({ user, label }: AuthorizedKey, holder: string | undefined): Message {
  const key = JSON.stringify(oneLine([user, label].filter(Boolean).join(' ')));
  if (holder !== undefined) {
    return { text: 'The key {key} was left out: it is of user {name} already.', args: { key, name: holder } };
  }
  return user === undefined
    ? { text: 'The key {key} was left out: no user name stands after it.', args: { key } }
    : { text: 'The key {key} was left out: there is a user of that name written otherwise.', args: { key } };
}

/**
 * An import as changes of the users, in order.
 *
 * @param role of the new users.
 */
export function editsOf({ newUsers, newKeys }: KeyImport, role: string): readonly UserEdit[] {
  return [
    ...newUsers.map((name): UserEdit => ({ kind: 'add-user', user: createUser(name, role) })),
    ...newKeys.map(({ name, key }): UserEdit => ({ kind: 'add-public-key', name, key })),
  ];
}
