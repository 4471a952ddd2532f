/** Far more than any request uses. */
const maxTokens = 1e12;

/** A number of tokens to reckon with: whole, and within bounds. What is no number counts as the most. */
export function boundedTokens(tokens: number): number {
  return tokens < maxTokens ? Math.max(0, Math.ceil(tokens)) : maxTokens;
}
