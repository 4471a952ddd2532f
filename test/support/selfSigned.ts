import { webcrypto } from 'node:crypto';
import {
  cryptoProvider,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { Certificate } from '../../src/guard/tls/certificate.ts';

/**
 * A certificate that vouches for itself.
 *
 * @param from when it begins, in milliseconds since the epoch.
 * @param to when it ends.
 */
export async function selfSigned(domain: string, from: number, to: number): Promise<Certificate> {
  cryptoProvider.set(webcrypto as typeof globalThis.crypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    keys,
    signingAlgorithm: algorithm,
    name: `CN=${domain}`,
    notBefore: new Date(from),
    notAfter: new Date(to),
    extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: domain }])],
  });
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { chain: certificate.toString('pem'), key };
}
