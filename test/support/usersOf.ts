import type { ApiKeyRecord, User } from '../../src/guard/identity/users.ts';

const letters = 'abcdefghijklmnopqrstuvwxyz';

/** Ten letters that are an id, the same ones for the same number. */
export function idOf(number: number): string {
  const digits = [...number.toString(26).padStart(10, '0')];
  return digits.map((digit) => letters[Number.parseInt(digit, 26)]).join('');
}

/** A user without any credential. */
export function userOf(name: string, number: number, keys: readonly ApiKeyRecord[] = []): User {
  return { id: idOf(number), name, role: 'member', createdAt: '2026-01-01T00:00:00.000Z', keys };
}

/** An API key that nobody has the text of. */
export function keyOf(number: number): ApiKeyRecord {
  return { id: idOf(number), label: 'test', sha256: '0'.repeat(64), createdAt: '2026-01-01T00:00:00.000Z' };
}
