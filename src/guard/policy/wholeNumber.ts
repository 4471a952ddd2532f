/**
 * A whole number above 0 as a person types it, in digits alone: as many as are counted exactly, whatever they are.
 *
 * @returns undefined for anything else.
 */
export function parseWholeNumber(text: string): number | undefined {
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}
