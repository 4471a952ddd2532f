import type { Joined, Link } from '../connector/joined.ts';
import type { Invite } from '../guard/share/inviteLink.ts';
import type { Failure } from './messages.ts';

/** How opening a connector went. */
export type OpenResult = { readonly url: string } | Failure;

/** How an invite was redeemed. */
export type RedeemResult = { readonly joined: Omit<Joined, 'port'> } | Failure;

/** What the connector thread does for its host. */
export interface ConnectorThreadFunctions {
  open(joined: Joined): Promise<OpenResult>;
  close(id: string): Promise<void>;
  redeem(call: number, invite: Invite): Promise<RedeemResult>;
  /** Gives up what `redeem` does under this number. */
  cancelRedeem(call: number): void;
}

/** What the host takes from the connector thread. */
export interface ConnectorHostFunctions {
  onLink(id: string, link: Link): void;
}
