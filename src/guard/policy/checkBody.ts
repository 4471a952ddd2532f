import type { RefusalCode } from '../answers.ts';
import { editBody } from '../body/edits.ts';
import type { CheckedBody } from '../body/facts.ts';
import type { Route } from '../routes.ts';
import { clampBody } from './clamps.ts';
import { clampLimit } from './clampWords.ts';
import { type IsRemote, judgeBody } from './models.ts';
import type { Access } from './policy.ts';

/** A body as it may be sent, or why it may not. */
export type PolicyOutcome =
  | {
      readonly body: CheckedBody;
      /** The model that it is for, by the short form of its name. */
      readonly model: string | undefined;
      /** What it asked too much of. */
      readonly clamped: readonly string[];
    }
  | { readonly refusal: RefusalCode /** What it was over, in words. */; readonly limit?: string | undefined };

/** Holds a body to the policy: every model that it names, then what it asks for. */
export function checkBody(
  access: Access,
  route: Route,
  path: string,
  body: CheckedBody,
  isRemote: IsRemote,
): PolicyOutcome {
  const { verdict, models } = judgeBody(access, route, body.facts, isRemote);
  if (!verdict.allowed) return { refusal: verdict.refusal };
  const clamped = clampBody(access.clamps, path, body.facts);
  if ('refusal' in clamped) return { refusal: clamped.refusal, limit: clampLimit(clamped.rule) };
  return { body: editBody(body, clamped.edits), model: models[0], clamped: clamped.clamped };
}
