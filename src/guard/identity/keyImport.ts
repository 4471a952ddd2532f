import type { Message } from '../message.ts';
import { oneLine } from '../share/quote.ts';
import type { AuthorizedKey } from './authorizedKeys.ts';
import { createPublicKeyRecord } from './publicKey.ts';
import type { UserEdit } from './userEdit.ts';
import { createUser, type PublicKeyRecord, type User } from './users.ts';

/** A key that is left out. It is itself the sentence that says so. */
export interface LeftOut<Entry extends AuthorizedKey> extends Message {
  readonly entry: Entry;
  readonly why: 'held' | 'unnamed' | 'spelled-otherwise';
  /** Who has the key already, or as whom the name is there. */
  readonly other?: string | undefined;
}

/** What comes of public keys that are imported. */
export interface KeyImport<Entry extends AuthorizedKey = AuthorizedKey> {
  /** The names of those whom nobody has added yet. */
  readonly newUsers: readonly string[];
  readonly newKeys: readonly { readonly name: string; readonly key: PublicKeyRecord }[];
  /** How many their user has already. */
  readonly known: number;
  readonly leftOut: readonly LeftOut<Entry>[];
}

/** Gives each key to the user that it names. A key that its user has already is none of the new ones. */
export function planKeyImport<Entry extends AuthorizedKey>(
  users: readonly User[],
  entries: readonly Entry[],
): KeyImport<Entry> {
  const spellings = new Map(users.map(({ name }) => [name.toLowerCase(), name]));
  const holders = new Map(users.flatMap(({ name, publicKeys = [] }) => publicKeys.map(({ blob }) => [blob, name])));
  const newUsers: string[] = [];
  const newKeys: { readonly name: string; readonly key: PublicKeyRecord }[] = [];
  const leftOut: LeftOut<Entry>[] = [];
  let known = 0;
  for (const entry of entries) {
    const { user: name, blob, label } = entry;
    const holder = holders.get(blob);
    if (holder !== undefined && holder === name) {
      known += 1;
      continue;
    }
    const spelling = name === undefined ? undefined : (spellings.get(name.toLowerCase()) ?? name);
    if (holder !== undefined || name === undefined || spelling !== name) {
      leftOut.push(whyLeftOut(entry, holder, spelling));
      continue;
    }
    if (!spellings.has(name.toLowerCase())) newUsers.push(name);
    spellings.set(name.toLowerCase(), name);
    holders.set(blob, name);
    newKeys.push({ name, key: createPublicKeyRecord(`ssh-ed25519 ${blob}`, label) });
  }
  return { newUsers, newKeys, known, leftOut };
}

/**
 * @param holder who has the key already.
 * @param spelling how the name is there.
 */
function whyLeftOut<Entry extends AuthorizedKey>(
  entry: Entry,
  holder: string | undefined,
  spelling: string | undefined,
): LeftOut<Entry> {
  const { user, label } = entry;
  const key = JSON.stringify(oneLine([user, label].filter(Boolean).join(' ')));
  if (holder !== undefined) {
    return {
      entry,
      why: 'held',
      other: holder,
      text: 'The key {key} was left out: it is of user {name} already.',
      args: { key, name: holder },
    };
  }
  if (user === undefined) {
    return { entry, why: 'unnamed', text: 'The key {key} was left out: no user name stands after it.', args: { key } };
  }
  return {
    entry,
    why: 'spelled-otherwise',
    other: spelling,
    text: 'The key {key} was left out: there is a user of that name written otherwise.',
    args: { key },
  };
}

/**
 * An import as one change of the users.
 *
 * @param role of the new users.
 */
export function editOf({ newUsers, newKeys }: KeyImport, role: string): UserEdit {
  const edits = [
    ...newUsers.map((name): UserEdit => ({ kind: 'add-user', user: createUser(name, role) })),
    ...newKeys.map(({ name, key }): UserEdit => ({ kind: 'add-public-key', name, key })),
  ];
  return { kind: 'several', edits };
}
