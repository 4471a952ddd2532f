import { BlockList, isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { localNameOf } from '../tls/names.ts';

/** Own addresses are read again after this long, in milliseconds: Wi-Fi roams. */
const addressesMaxAgeMs = 2_000;

const hostHeader = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{1,5}))?$/i;

/** The name or address in a Host header, in lower case and without port or brackets; undefined when malformed. */
export function hostOf(header: string): string | undefined {
  const match = hostHeader.exec(header);
  if (match === null || Number(match[3] ?? 0) > 65_535) return undefined;
  const [, ipv6, name] = match;
  if (ipv6 !== undefined) return isIP(ipv6) === 6 ? ipv6.toLowerCase() : undefined;
  return name?.toLowerCase();
}

/** What the Host rule asks of the computer; replaced in tests. */
export interface OwnNames {
  addresses(): readonly string[];
  hostName(): string;
}

const thisComputer: OwnNames = {
  addresses: () =>
    Object.values(networkInterfaces())
      .flat()
      .flatMap((entry) => (entry === undefined ? [] : [entry.address])),
  hostName: hostname,
};

/**
 * The guard's own Host rule. The Host header is rewritten on the way to Ollama, which disarms Ollama's defence against
 * DNS rebinding (CVE-2024-28224), so the guard holds one itself: loopback, this computer's addresses and names, and
 * names that its owner configured (SEC-11, SEC-12).
 */
export function createHostRule(
  allowedHosts: readonly string[],
  own: OwnNames = thisComputer,
  now: () => number = () => performance.now(),
): (host: string) => boolean {
  const configured = new Set(allowedHosts.map((name) => name.toLowerCase()));
  let known: { readonly names: ReadonlySet<string>; readonly addresses: BlockList } | undefined;
  let readAt = 0;
  /** The last host that was found to be one's own: nearly every request names the same. */
  let lastOwn: string | undefined;

  const refresh = () => {
    const addresses = new BlockList();
    addresses.addSubnet('127.0.0.0', 8, 'ipv4');
    addresses.addAddress('::1', 'ipv6');
    for (const address of own.addresses()) addresses.addAddress(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
    const name = own.hostName().toLowerCase();
    readAt = now();
    return { addresses, names: new Set(['localhost', name, localNameOf(name) ?? name, ...configured]) };
  };

  return (host) => {
    if (known === undefined || now() - readAt > addressesMaxAgeMs) {
      known = refresh();
      lastOwn = undefined;
    }
    if (host === lastOwn) return true;
    const family = isIP(host);
    const own =
      configured.has(host) ||
      (family === 0 ? known.names.has(host) : known.addresses.check(host, family === 6 ? 'ipv6' : 'ipv4'));
    if (own) lastOwn = host;
    return own;
  };
}
