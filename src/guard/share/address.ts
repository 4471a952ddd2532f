import { endpointAddresses, type OwnComputer } from './addresses.ts';

/** The one address to hand to a teammate for an endpoint: the best of those at which others reach it. */
export function shareUrl(url: string, own?: OwnComputer): string {
  return endpointAddresses(url, own)[0].url;
}
