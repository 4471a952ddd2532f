/** A value of the policy in words: `30`, `1m`, `min 1m, max 1h`, `temperature, top_p`. */
export function valueWords(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return inList(Array.isArray(value) ? value : Object.entries(value).map(([key, inner]) => `${key} ${inner}`));
}

/** Items with commas between them; `none` when there is none. */
export function inList(items: readonly string[]): string {
  return items.join(', ') || 'none';
}
