import { GuardError } from '../errors.ts';
import { createId } from './apiKey.ts';
import { findUser, type PublicKeyRecord, type User } from './users.ts';

/** A line such as `ssh-ed25519 AAAA… anna@laptop`; options before the type are not taken. `[A-P]` as in signature.ts. */
const line = /^ssh-ed25519[ \t]+(AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42})(?:[ \t]+(.*))?$/;

/**
 * Reads a public key as `~/.ollama/id_ed25519.pub` holds it.
 *
 * @throws GuardError `public-key-invalid`, saying what to paste.
 */
export function createPublicKeyRecord(text: string, label?: string): PublicKeyRecord {
  const [, blob, comment = ''] = line.exec(text.trim()) ?? [];
  if (blob === undefined) {
    throw new GuardError(
      'public-key-invalid',
      'This is no public key of the ollama command line. Paste the one line of ~/.ollama/id_ed25519.pub, which begins with ssh-ed25519.',
    );
  }
  return { id: createId(), label: (label || comment).slice(0, 100), blob, createdAt: new Date().toISOString() };
}

/** @throws GuardError `user-unknown`, and `public-key-invalid` for a key that a user has already. */
export function insertPublicKey(users: readonly User[], name: string, key: PublicKeyRecord): readonly User[] {
  const user = findUser(users, name);
  const holder = users.find(({ publicKeys }) => publicKeys?.some(({ blob }) => blob === key.blob));
  if (holder !== undefined) {
    throw new GuardError('public-key-invalid', 'This public key is of user {name} already.', {
      args: { name: holder.name },
    });
  }
  const changed: User = { ...user, publicKeys: [...(user.publicKeys ?? []), key] };
  return users.map((candidate) => (candidate === user ? changed : candidate));
}

/** @throws GuardError `public-key-unknown`. */
export function removePublicKey(users: readonly User[], keyId: string): readonly User[] {
  if (!users.some(({ publicKeys }) => publicKeys?.some(({ id }) => id === keyId))) {
    throw new GuardError('public-key-unknown', 'There is no public key {id}.', { args: { id: JSON.stringify(keyId) } });
  }
  return users.map(({ publicKeys, ...user }) => {
    const left = publicKeys?.filter(({ id }) => id !== keyId) ?? [];
    return left.length === 0 ? user : { ...user, publicKeys: left };
  });
}
