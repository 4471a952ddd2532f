import { isIP } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { isLinkLocal } from '../guard/share/addresses.ts';
import type { SharePlan } from '../guard/share/sharing.ts';

/** The network interfaces of this computer, as `os.networkInterfaces` gives them. */
export type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

/**
 * The address to share on now: the chosen one while this computer has it, else another of the same family on the
 * interface it was of. The chosen one also when there is none, since it may come back.
 */
export function currentAddress({ host, interfaceName }: SharePlan, interfaces: Interfaces): string {
  const isThere = Object.values(interfaces).some((entries) => entries?.some(({ address }) => address === host));
  if (interfaceName === undefined || isThere) return host;
  const family = `IPv${isIP(host)}`;
  // A link-local address is what an interface has while it waits for one of its network.
  const usable = interfaces[interfaceName]?.filter(({ address }) => !isLinkLocal(address));
  return usable?.find((entry) => entry.family === family)?.address ?? host;
}
