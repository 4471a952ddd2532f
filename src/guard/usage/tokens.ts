import type { TokenEstimate } from '../admission/types.ts';
import type { BodyFacts } from '../body/facts.ts';
import { saysSomething, searchesWeb } from '../policy/models.ts';
import { largestBound } from '../policy/outputFields.ts';
import { embeddingPaths } from '../routes.ts';

/** What a request whose user's tokens are limited may answer with when it does not say. */
export const assumedOutputTokens = 16_384;

/**
 * English has four bytes a token, code and JSON have about three, and so have other scripts, whose characters take more
 * bytes. Digits may have one, which is the least there is: no token is shorter than a byte.
 */
const bytesPerToken = 3;

/** Between the 256 of gemma3 and the 1,600 of llama3.2-vision; and the most, above the 3,025 of mistral-small3.1. */
const tokensPerImage = 1_024;
const mostTokensPerImage = 4_096;

const embeds: ReadonlySet<string> = new Set(embeddingPaths);

/** Tokens of a request before Ollama has counted any. */
export interface RequestTokens extends Pick<TokenEstimate, 'prompt'> {
  /** What the prompt cannot be more than; infinite when the request does not tell. */
  readonly mostPrompt: number;
  /** Undefined when the request does not bound its answer. */
  readonly output: number | undefined;
}

/**
 * Estimates what a request will take. Of several bounds on the answer the largest counts, because Ollama may act on any
 * of them; one that is in another field than Ollama's holds once `boundOutput` was applied.
 */
export function estimateTokens(path: string, facts: BodyFacts): RequestTokens {
  const { textBytes, images } = facts;
  const bound = embeds.has(path) ? 0 : largestBound(path, facts);
  // What was thought in the first run is in the prompt of the second.
  const again = bound !== undefined && mayRunTwice(path, facts) ? bound : 0;
  const prompt = Math.ceil(textBytes / bytesPerToken) + tokensPerImage * images.count;
  const mostPrompt = growsUnseen(path, facts)
    ? Number.POSITIVE_INFINITY
    : textBytes + mostTokensPerImage * images.count + again;
  return {
    prompt: Math.min(prompt, mostPrompt, contextOf(path, facts)),
    mostPrompt,
    output: bound === undefined ? undefined : bound + again,
  };
}

/** What gives an answer a form, by path. */
const formats: Readonly<Record<string, string>> = {
  '/api/chat': 'format',
  '/v1/chat/completions': 'response_format',
  '/v1/responses': 'text',
};

/** Ollama has a model that thinks answer a second time when the answer is to have a form (`structuredOutputsState`). */
function mayRunTwice(path: string, { values }: BodyFacts): boolean {
  const format = formats[path];
  return format !== undefined && saysSomething(values.get(format));
}

/**
 * Whether a prompt becomes what nobody can tell from the request: a template of its own can have the prompt in it as often
 * as it likes (routes.go at fb30760, `req.Template`), and what is found on the web is sent in up to three rounds more.
 */
function growsUnseen(path: string, facts: BodyFacts): boolean {
  return searchesWeb(facts) || (path === '/api/generate' && saysSomething(facts.values.get('template')));
}

/** They have one prompt, and options that Ollama acts on. */
const hasContext: ReadonlySet<string> = new Set(['/api/generate', '/api/chat']);

/** Models that see get at least so many tokens, whatever is asked for (server/sched.go). */
const leastContext = 2_048;

/** Most models get no more of a prompt than the context that the request names; those that run by MLX get all of it. */
function contextOf(path: string, { values }: BodyFacts): number {
  const asked = hasContext.has(path) ? values.get('options.num_ctx')?.value : undefined;
  return typeof asked === 'number' ? Math.max(asked, leastContext) : Number.POSITIVE_INFINITY;
}
