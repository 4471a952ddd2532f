import { hostname } from 'node:os';
import { endpointUrl, isLoopback, schemeOf } from '../../guard/config.ts';
import { GuardError } from '../../guard/errors.ts';
import { endpointAddresses, mdnsName } from '../../guard/share/addresses.ts';
import { type Trust, trustOf } from '../../guard/share/trust.ts';
import type { Endpoint } from '../../guard/state.ts';
import { readGuardConfig } from '../settings.ts';

/** What a teammate's program needs to find an endpoint and be sure of it. */
export interface TeammateAccess {
  readonly url: string;
  readonly trust?: Trust;
}

/**
 * The address to hand to a teammate: where the endpoint is shared, else where it listens, else where it will.
 *
 * @throws GuardError `config-invalid`.
 */
export function teammateUrl(endpoint: Endpoint | undefined): string {
  const [first] = teammateUrls(endpoint);
  return first ?? listeningUrl(endpoint);
}

/**
 * Every address a teammate can try, best first.
 *
 * @throws GuardError `config-invalid`.
 */
export function teammateUrls(endpoint: Endpoint | undefined): readonly string[] {
  const url = listeningUrl(endpoint);
  const { hostname: host, port, protocol } = new URL(url);
  const { tls, allowedHosts } = readGuardConfig();
  const named = (name: string) => new URL(`${protocol}//${name}${port && `:${port}`}`).origin;
  if (protocol === 'https:' && tls.mode === 'acme') return [named(tls.domain)];
  // A certificate of the owner's own is made out to names, as a rule.
  const own = protocol === 'https:' && tls.mode === 'files' ? allowedHosts.map(named) : [];
  const addresses = endpointAddresses(url).map((address) => address.url);
  // The name outlives an address that changes.
  const mdns = isLoopback(host.replace(/^\[|\]$/g, '')) ? undefined : mdnsName(hostname());
  return [...new Set([...own, ...addresses, ...(mdns === undefined ? [] : [named(mdns)])])];
}

/**
 * The address to hand to a teammate's program, with what it has to trust.
 *
 * @throws GuardError `certificate-unavailable` when that is known only once the guard runs, and `config-invalid`.
 */
export function teammateAccess(endpoint: Endpoint | undefined): TeammateAccess {
  const url = teammateUrl(endpoint);
  if (!url.startsWith('https:')) return { url };
  if (endpoint === undefined) {
    throw new GuardError(
      'certificate-unavailable',
      'Start Ollama Guard first: what programs have to trust is known once it encrypts.',
    );
  }
  const trust = trustOf(endpoint.tls);
  return { url, ...(trust && { trust }) };
}

function listeningUrl(endpoint: Endpoint | undefined): string {
  if (endpoint !== undefined) return endpoint.sharing?.url ?? endpoint.url;
  const config = readGuardConfig();
  return endpointUrl(config.host, config.port, schemeOf(config, config.host));
}
