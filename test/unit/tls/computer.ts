import type { NetworkInterfaceInfo } from 'node:os';
import type { Computer } from '../../../src/guard/tls/names.ts';

/** One address of an interface, as Node tells it. */
export function address(address: string): NetworkInterfaceInfo {
  const common = { address, netmask: '', mac: '00:00:00:00:00:00', internal: false, cidr: null };
  return address.includes(':') ? { ...common, family: 'IPv6', scopeid: 0 } : { ...common, family: 'IPv4' };
}

/** A computer whose name and addresses a test changes. */
export class FakeComputer implements Computer {
  name: string;
  addresses: readonly string[];

  constructor(name: string, ...addresses: readonly string[]) {
    this.name = name;
    this.addresses = addresses;
  }

  hostName(): string {
    return this.name;
  }

  interfaces() {
    return { eth0: this.addresses.map(address) };
  }
}
