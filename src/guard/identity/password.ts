import { randomInt } from 'node:crypto';
import { GuardError } from '../errors.ts';

/** bcrypt reads this many bytes and ignores the rest, so a longer password would be cut off silently (SEC-58). */
const maxPasswordBytes = 72;

/** The bcrypt cost of new hashes: about 0.3 s on one core. */
export const bcryptCost = 12;

/** bcrypt hashes as bcryptjs, htpasswd and Caddy write them. A higher cost than 15 would hold the thread for seconds. */
export const bcryptHash = /^\$2[aby]\$(0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}$/;

/** What is compared when there is no hash to compare with. No password is known for it. */
const decoyTail = 'KIXqjGDBq3hO0f5YJ3p9XeQmZ1uV7nT2wRkLbC8dEaFgHiJyMsN4O';

/** What is wrong with a password, in words; undefined when it is good. */
export function passwordProblem(password: string): string | undefined {
  if (password === '') return 'The password is empty.';
  if (Buffer.byteLength(password) <= maxPasswordBytes) return undefined;
  return 'The password is longer than 72 bytes, and bcrypt reads no more. Choose a shorter one.';
}

/** @throws GuardError `password-invalid` for an empty password or one over 72 bytes. */
export function checkPassword(password: string): void {
  if (password === '') throw new GuardError('password-invalid', 'The password is empty.');
  const bytes = Buffer.byteLength(password);
  if (bytes <= maxPasswordBytes) return;
  throw new GuardError(
    'password-invalid',
    'The password is {bytes} bytes long; bcrypt reads {most} at most. Choose a shorter one.',
    { args: { bytes, most: maxPasswordBytes } },
  );
}

/**
 * A hash of the same cost as `like` that no password fits, so that an unknown user takes the same time as a known one
 * (SEC-49).
 */
export function decoyHash(like?: string): string {
  return `$2b$${like?.slice(4, 6) ?? bcryptCost}$${decoyTail}`;
}

/** Letters and digits that are not mistaken for one another when read aloud or copied by hand. */
const alphabet = 'abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';

/** A password of 22 characters, about 126 random bits, in groups that are easy to copy. */
export function generatePassword(): string {
  const characters = Array.from({ length: 22 }, () => alphabet[randomInt(alphabet.length)]);
  return characters.join('').replace(/^(.{6})(.{5})(.{6})(.{5})$/, '$1-$2-$3-$4');
}
