import type { SecureContextOptions } from 'node:tls';
import { certificatesIn } from '../guard/tls/certificate.ts';

/**
 * What the certificate of an endpoint is held against: one authority alone, which may be one below its root or the
 * endpoint's own certificate; everything the system trusts when there is none.
 *
 * @param ca in PEM.
 */
export function trusting(ca: string | undefined): SecureContextOptions {
  return ca === undefined ? {} : { ca, allowPartialTrustChain: true, minVersion: 'TLSv1.2' };
}

/**
 * The one certificate that a text in PEM is, when it has a fingerprint; undefined when it is another, or not one.
 *
 * @param sha256 of its DER, in colon-separated hexadecimal.
 */
export function certificateWith(sha256: string, pem: string): string | undefined {
  try {
    const [certificate, ...others] = certificatesIn(pem);
    return others.length === 0 && certificate?.fingerprint256 === sha256 ? certificate.toString() : undefined;
  } catch {
    return undefined;
  }
}
