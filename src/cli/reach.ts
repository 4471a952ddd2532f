import { type GuardConfig, isLoopback } from '../guard/config.ts';
import { isWildcard } from '../guard/entry/address.ts';
import { type EndpointAddress, endpointAddresses } from '../guard/share/addresses.ts';
import type { Endpoint } from '../guard/state.ts';
import type { EndpointRecord } from './endpointFile.ts';

/** The names that the certificate of a configuration is made out to, where they are not the computer's own. */
export function certifiedNames({ tls, allowedHosts }: GuardConfig): Pick<EndpointRecord, 'names' | 'namesAlone'> {
  if (tls.mode === 'acme') return { names: [tls.domain], namesAlone: true };
  // A certificate of the owner's own is made out to names, as a rule.
  return { names: tls.mode === 'files' ? [...allowedHosts] : [], namesAlone: false };
}

/** Where teammates reach an endpoint, likely best first. */
export function reachOf({
  url,
  names,
  namesAlone,
}: Pick<EndpointRecord, 'url' | 'names' | 'namesAlone'>): readonly EndpointAddress[] {
  const named = names.map((name) => {
    const changed = new URL(url);
    changed.hostname = name;
    return { interfaceName: '', address: name, url: changed.origin };
  });
  return namesAlone ? named : [...named, ...endpointAddresses(url)];
}

/** Whether an endpoint can be reached from this computer alone. */
export function isForThisComputer({ url }: { readonly url: string }): boolean {
  return isLoopback(hostIn(url));
}

/** What the owner is told about where a guard listens, beside its address. */
export function announcementOf({ url, tls }: Endpoint, config: GuardConfig): readonly string[] {
  const lines: string[] = [];
  if (url.startsWith('http:') && !isForThisComputer({ url })) {
    lines.push('Others on the network can read along, passwords and prompts included. Encrypt it with: --tls auto');
  }
  if (tls?.mode === 'auto' && tls.anchor !== undefined) {
    lines.push(`Certificate authority, SHA-256: ${tls.anchor.sha256}`);
  }
  if (isWildcard(hostIn(url))) {
    const reached = reachOf({ url, ...certifiedNames(config) });
    lines.push(...reached.map((way) => `reached at ${way.url}${way.interfaceName && ` (${way.interfaceName})`}`));
  }
  return lines;
}

function hostIn(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '');
}
