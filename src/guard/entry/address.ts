import { isIP, SocketAddress } from 'node:net';

/** An address as a socket gives it, without what mapping to IPv6 and interface names add. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
}

/** An address somebody wrote, in the one form in which sockets give it; anything else as it is. */
export function canonicalAddress(address: string): string {
  const plain = plainAddress(address);
  return isIP(plain) === 6 ? new SocketAddress({ address: plain, family: 'ipv6' }).address : plain;
}

/** Whether it stands for every address of this computer. */
export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
