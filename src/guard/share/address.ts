import { isIP } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

/**
 * The address to hand to a teammate for an endpoint. An endpoint that listens everywhere (`0.0.0.0`, `::`) is reached
 * by the computer's first address that is not loopback.
 */
export function shareUrl(url: string, interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces()): string {
  const parsed = new URL(url);
  if (parsed.hostname !== '0.0.0.0' && parsed.hostname !== '[::]') return url;
  const external = Object.values(interfaces)
    .flat()
    .filter((entry) => entry !== undefined && !entry.internal && !entry.address.startsWith('fe80'));
  const best = external.find((entry) => entry?.family === 'IPv4') ?? external[0];
  const address = best?.address ?? '127.0.0.1';
  parsed.hostname = isIP(address) === 6 ? `[${address}]` : address;
  return parsed.origin;
}
