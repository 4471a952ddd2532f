import { isIP } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { canonicalAddress } from '../entry/address.ts';

/** What a certificate is for, sorted and without doubles, so that two can be compared. */
export interface Names {
  readonly dns: readonly string[];
  /** IPv4 and IPv6, in the form in which sockets give them. */
  readonly addresses: readonly string[];
}

/** What is asked of the computer; replaced in tests. */
export interface Computer {
  hostName(): string;
  interfaces(): Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;
}

/** Addresses beyond these are left out: the certificate goes through every handshake. */
const maxAddresses = 1_000;

/** A name that verifiers take: one that breaks the rules would have them refuse the whole certificate (RFC 1123 §2.1). */
const dnsName = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*$/;

/** `fe80::/10` means nothing without a zone, which a certificate cannot name: RFC 4007 §6. */
const linkLocal = /^fe[89ab]/i;

/** The name of a computer as DNS knows it, in lower case; undefined when DNS could not. */
export function dnsNameOf(hostName: string): string | undefined {
  const name = hostName.toLowerCase().replace(/\.$/, '');
  return isIP(name) === 0 && dnsName.test(name) ? name : undefined;
}

/** The name of a computer as multicast DNS knows it: RFC 6762 §3. */
export function localNameOf(hostName: string): string | undefined {
  const [label] = dnsNameOf(hostName)?.split('.') ?? [];
  return label && `${label}.local`;
}

/** Whatever clients may call an endpoint of a computer, and every address it has. */
export function namesOf(computer: Computer, allowedHosts: readonly string[]): Names {
  const hostName = computer.hostName();
  const infos = Object.values(computer.interfaces()).flatMap((entries) => entries ?? []);
  const usable = infos.filter(({ address, family }) => family === 'IPv4' || !linkLocal.test(address));
  // The address of a router that forwards to this computer is configured like a name.
  const configured = allowedHosts.filter((host) => isIP(host) !== 0);
  const addresses = ['127.0.0.1', '::1', ...configured, ...usable.map(({ address }) => canonicalAddress(address))];
  const dns = ['localhost', dnsNameOf(hostName), localNameOf(hostName), ...allowedHosts.map(dnsNameOf)];
  return {
    dns: sorted(dns.filter((name) => name !== undefined)),
    addresses: sorted(addresses).slice(0, maxAddresses),
  };
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}
