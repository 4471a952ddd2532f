import type { GuardErrorCode } from './errors.ts';
import type { Counts } from './usage/events.ts';

/** What a guard is doing, as one value; everything a person sees of it is computed from this. */
export type GuardState =
  | { readonly status: 'stopped' }
  | { readonly status: 'starting' }
  | {
      readonly status: 'running';
      /** Such as `http://127.0.0.1:11435`. */
      readonly url: string;
      readonly upstream: string;
      readonly users: number;
      readonly counts: Counts;
    }
  | { readonly status: 'stopping' }
  | {
      readonly status: 'failed';
      /** A sentence for the owner. */
      readonly message: string;
      /** Undefined when the guard broke in a way nobody foresaw. */
      readonly code?: GuardErrorCode;
    };
