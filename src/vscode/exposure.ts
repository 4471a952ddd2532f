import { isLoopback } from '../guard/config.ts';
import type { Endpoint } from '../guard/state.ts';

/** Who reaches a running guard: this computer alone, or others too, and then whether all they send is encrypted. */
export type Reach = 'this-computer' | 'encrypted' | 'in-the-clear';

/** Who reaches a running guard now. */
export function reachOf({ url, sharing }: Pick<Endpoint, 'url' | 'sharing'>): Reach {
  const open = sharing === undefined || sharing.paused ? [url] : [url, sharing.url];
  const beyond = open.map((address) => new URL(address)).filter(({ hostname }) => !isLoopback(bare(hostname)));
  if (beyond.length === 0) return 'this-computer';
  return beyond.every(({ protocol }) => protocol === 'https:') ? 'encrypted' : 'in-the-clear';
}

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}
