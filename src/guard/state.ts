import type { GuardErrorCode } from './errors.ts';
import type { Message } from './message.ts';
import type { Sharing } from './share/sharing.ts';
import type { EndpointTls } from './tls/certificate.ts';
import type { Counts } from './usage/events.ts';

/** What is known of a guard that answers. */
export interface Endpoint {
  /** Such as `http://127.0.0.1:11435`. */
  readonly url: string;
  readonly upstream: string;
  readonly users: number;
  readonly counts: Counts;
  /** Left out while nothing is encrypted. */
  readonly tls?: EndpointTls;
  /** Present from Start Sharing until its end, paused or not. */
  readonly sharing?: Sharing;
}

/** What a guard is doing, as one value; everything a person sees of it is computed from this. */
export type GuardState =
  | { readonly status: 'stopped' }
  | { readonly status: 'starting' }
  | ({ readonly status: 'running' } & Endpoint)
  /** Another window runs it. */
  | ({ readonly status: 'following' } & Endpoint)
  | { readonly status: 'stopping' }
  | {
      readonly status: 'failed';
      /** A sentence for the owner, to be put in the owner's language where it is shown. */
      readonly message: Message;
      /** Undefined when the guard broke in a way nobody foresaw. */
      readonly code?: GuardErrorCode;
    };
