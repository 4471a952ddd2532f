import { hostname, type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { isLoopback } from '../config.ts';
import { canonicalAddress, isWildcard } from '../entry/address.ts';
import { localNameOf } from '../tls/names.ts';

/** A way to reach an endpoint. */
export interface EndpointAddress {
  /** Such as `eth0`; `mDNS` for the computer's name on the local network; empty when no interface has the address. */
  readonly interfaceName: string;
  /** An IP address without brackets, or a name. */
  readonly address: string;
  /** Such as `http://192.168.1.5:11435`, with an IPv6 address in brackets. */
  readonly url: string;
}

/** What the list of addresses asks of the computer; replaced in tests. */
export interface OwnComputer {
  readonly interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>;
  readonly hostName: string;
}

const thisComputer = (): OwnComputer => ({ interfaces: networkInterfaces(), hostName: hostname() });

/**
 * The addresses at which others reach an endpoint, likely best first; never none. One that listens everywhere
 * (`0.0.0.0`, `::`) is reached at every address of the computer that a URL can hold, and at its name in mDNS. Loopback
 * is in the list only when there is nothing else.
 *
 * @param url the endpoint as it listens, such as `http://0.0.0.0:11435`.
 */
export function endpointAddresses(
  url: string,
  own: OwnComputer = thisComputer(),
): readonly [EndpointAddress, ...EndpointAddress[]] {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  const all = addressesOf(own.interfaces);
  const at = (address: string): EndpointAddress => ({
    interfaceName: interfaceOf(address, all),
    address,
    url: withHost(url, address),
  });
  if (!isWildcard(host)) return [at(host)];

  const [best, ...others] = all
    .filter(({ address, family, internal }) => !internal && canBeInUrl(address) && (host === '::' || family === 'IPv4'))
    .toSorted((a, b) => rank(a) - rank(b));
  if (best === undefined) return [at('127.0.0.1')];
  const name = mdnsName(own.hostName);
  return [
    at(best.address),
    ...others.map(({ address }) => at(address)),
    ...(name === undefined ? [] : [{ interfaceName: 'mDNS', address: name, url: withHost(url, name) }]),
  ];
}

interface InterfaceAddress {
  readonly interfaceName: string;
  readonly address: string;
  readonly family: 'IPv4' | 'IPv6';
  readonly internal: boolean;
}

function addressesOf(interfaces: OwnComputer['interfaces']): readonly InterfaceAddress[] {
  return Object.entries(interfaces).flatMap(([interfaceName, entries = []]) =>
    entries.map(({ address, family, internal }) => ({ interfaceName, address, family, internal })),
  );
}

function interfaceOf(host: string, all: readonly InterfaceAddress[]): string {
  const wanted = canonicalAddress(host);
  const found =
    all.find(({ address }) => canonicalAddress(address) === wanted) ??
    // All of 127.0.0.0/8 is there, and so is its name, while one of it is listed.
    (isLoopback(host) ? all.find(({ internal }) => internal) : undefined);
  return found?.interfaceName ?? '';
}

function withHost(url: string, host: string): string {
  const changed = new URL(url);
  changed.hostname = host.includes(':') ? `[${host}]` : host;
  return changed.origin;
}

/** Whether an address holds on its own cable alone: 169.254.0.0/16 (RFC 3927), fe80::/10 (RFC 4291 §2.5.6). */
export function isLinkLocal(address: string): boolean {
  return /^(?:169\.254\.|fe[89ab][0-9a-f]:)/i.test(address);
}

/** A link-local IPv6 address needs its zone, which a URL cannot hold: https://url.spec.whatwg.org/#concept-ipv6-parser */
function canBeInUrl(address: string): boolean {
  return !(address.includes(':') && isLinkLocal(address));
}

/** The name by which mDNS announces a computer (RFC 6762); undefined for a name that is none of its own. */
export function mdnsName(hostName: string): string | undefined {
  const name = localNameOf(hostName);
  return name === 'localhost.local' ? undefined : name;
}

/** Interfaces that lead to other places than the local network, by how many teammates may be there. */
const elsewhere: readonly RegExp[] = [
  // A VPN's own network.
  /^(?:tun|tap|utun|ppp|wg|tailscale|zt|ipsec|gif|OpenVPN|WireGuard)/i,
  // Containers and virtual machines on this computer.
  /^(?:docker|br-|virbr|veth|vnet|vmnet|vboxnet|lxc|lxd|podman|cni|flannel|cali|kube|bridge\d|vEthernet|VMware|VirtualBox)/i,
];

/** Smaller is better: a network card before what leads elsewhere, an address that was given out before one that was not. */
function rank({ interfaceName, address, family }: InterfaceAddress): number {
  const kind = elsewhere.findIndex((names) => names.test(interfaceName)) + 1;
  return kind * 4 + (isLinkLocal(address) ? 2 : 0) + (family === 'IPv6' ? 1 : 0);
}
