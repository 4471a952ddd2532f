import { isIP } from 'node:net';
import type { EndpointTls } from '../tls/certificate.ts';
import { hostOf } from './host.ts';

/** For a year, and for this name alone: the names below it are not the guard's to decide. RFC 6797 §6.1. */
export const strictTransport = 'max-age=31536000';

/** Names that mean something in one network alone: IANA's special-use domain names, and RFC 6762 appendix G. */
const privateZones: ReadonlySet<string> = new Set([
  'alt',
  'arpa',
  'corp',
  'example',
  'home',
  'internal',
  'intranet',
  'invalid',
  'lan',
  'local',
  'localhost',
  'onion',
  'private',
  'test',
]);

/**
 * Whether a host is never to be reached without encryption again: its name is the same everywhere, and every system
 * trusts the certificate. To be told over encrypted connections alone: RFC 6797 §7.2.
 *
 * @param header the Host header.
 */
export function staysEncrypted(tls: EndpointTls | undefined, header = ''): boolean {
  return tls !== undefined && tls.anchor === undefined && isPublicName(hostOf(header) ?? '');
}

/**
 * Whether a host is a public DNS name. Only such a name has one owner everywhere, and may be told to be reached by
 * https alone; addresses must not be: RFC 6797 §8.1.1.
 */
function isPublicName(host: string): boolean {
  if (isIP(host) !== 0) return false;
  const labels = host.split('.');
  return labels.length > 1 && !privateZones.has(labels.at(-1) ?? '');
}
