import type { RefusalCode } from '../answers.ts';
import type { BodyEdit } from '../body/facts.ts';

/** A rule of the policy by its place in it, and what it says: `roles.member.models.deny`, `secret*`. */
export interface Rule {
  readonly place: string;
  readonly says: string;
}

/** Yes or no, and by which rule. */
export type Verdict =
  | { readonly allowed: true; readonly rule: Rule }
  | { readonly allowed: false; readonly refusal: RefusalCode; readonly rule: Rule };

/** What becomes of a body that may be sent. */
export interface Clamped {
  readonly edits: readonly BodyEdit[];
  /** The paths that were changed because they asked for too much, for the answer's header. */
  readonly clamped: readonly string[];
}

/** What a request would be told, and by which rules. */
export interface Explanation {
  readonly allowed: boolean;
  /** Left out when it is allowed. */
  readonly refusal?: RefusalCode;
  /** Every rule that was asked, in order; the last one decided. */
  readonly rules: readonly Rule[];
}
