import { isLoopback } from '../guard/config.ts';
import type { Endpoint } from '../guard/state.ts';

/** Whether a running guard can be reached by others while nothing encrypts what they send. */
export function isExposed({ url, sharing }: Pick<Endpoint, 'url' | 'sharing'>): boolean {
  const open = sharing === undefined || sharing.paused ? [url] : [url, sharing.url];
  return open.some((address) => {
    const { hostname, protocol } = new URL(address);
    return protocol === 'http:' && !isLoopback(hostname.replace(/^\[|\]$/g, ''));
  });
}
