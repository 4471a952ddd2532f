import { isUtf8 } from 'node:buffer';

/** What stands between the quotes, when that is its text. */
const plain = /^[ !#-[\]-~]*$/;

/**
 * Reads what stands between the quotes of a JSON string.
 *
 * @returns undefined when it is not JSON; null when it is no text, such as half of a surrogate pair (RFC 8259 §8.2).
 */
export function unquoted(bytes: Buffer, start: number, end: number): string | null | undefined {
  const raw = bytes.toString('latin1', start, end);
  if (plain.test(raw)) return raw;
  try {
    const text: string = JSON.parse(`"${bytes.toString('utf8', start, end)}"`);
    return isUtf8(bytes.subarray(start, end)) && text.isWellFormed() ? text : null;
  } catch {
    return undefined;
  }
}

/** What has another letter case, or folds to an ASCII letter. */
const foldable = /[A-Z\u017f\u212a]/;

/**
 * Folds letter case at least as far as Go's encoding/json does, which takes the long s for an s and the Kelvin sign for
 * a k: `foldName` in its fold.go.
 */
export function folded(key: string): string {
  return foldable.test(key) ? key.toUpperCase().toLowerCase() : key;
}
