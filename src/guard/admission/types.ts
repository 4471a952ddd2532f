import type { RefusalCode } from '../answers.ts';
import type { Limits } from '../policy/policyDocument.ts';

/** Whose request it is, for limits and turns. */
export interface Caller {
  /** The user's id; of a JSON Web Token's holder what is as unique. */
  readonly id: string;
  readonly name: string;
  /** Of its API key, or of the public key that it signed with. */
  readonly keyId?: string;
  readonly limits: Limits;
  readonly limitsPerKey: Limits;
  readonly priority: number;
  readonly weight: number;
}

/** Tokens of a request: of its prompt, and of its answer at most. Estimates until Ollama has counted. */
export interface TokenEstimate {
  readonly prompt: number;
  readonly output: number;
}

/** An estimate, and what it cannot be more than. */
export interface BoundedEstimate extends TokenEstimate {
  readonly most: number;
}

/** Why a request has to wait or to go. */
export interface Held {
  readonly refusal: RefusalCode;
  /** What the caller is over, in words. */
  readonly limit: string;
  /** In seconds. */
  readonly retryAfter: number;
  readonly headers: Readonly<Record<string, string>>;
}
