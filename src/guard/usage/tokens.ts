import type { TokenEstimate } from '../admission/types.ts';
import type { BodyFacts } from '../body/facts.ts';
import { largestBound } from '../policy/outputFields.ts';

/** What a request whose user's tokens are limited may answer with when it does not say. */
export const assumedOutputTokens = 16_384;

/**
 * English has four bytes a token, code and JSON have about three, and so have other scripts, whose characters take more
 * bytes. The keys and quotes around a prompt count too, so the estimate is rather too high than too low.
 */
const bytesPerToken = 3;

/** Between the 256 of gemma3 and the 1,600 of llama3.2-vision. */
const tokensPerImage = 1_024;

/** They answer with vectors. */
const embeds: ReadonlySet<string> = new Set(['/api/embed', '/api/embeddings', '/v1/embeddings']);

/** Tokens of a request before Ollama has counted any; `output` is undefined when the request does not bound its answer. */
export interface RequestTokens extends Pick<TokenEstimate, 'prompt'> {
  readonly output: number | undefined;
}

/**
 * Estimates what a request will take. Of several bounds on the answer the largest counts, because Ollama may act on any
 * of them; one that is in another field than Ollama's holds once `boundOutput` was applied.
 */
export function estimateTokens(path: string, facts: BodyFacts): RequestTokens {
  const prompt = Math.ceil(facts.textBytes / bytesPerToken) + tokensPerImage * facts.images.count;
  return { prompt, output: embeds.has(path) ? 0 : largestBound(path, facts) };
}
