import { createHash, X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import type { Message } from '../message.ts';
import type { TlsConfig } from './tlsConfig.ts';

/** A certificate chain in PEM, the endpoint's own first, and the private key of that one. */
export interface Certificate {
  readonly chain: string;
  readonly key: string;
}

/** A certificate that vouches for others and that no system knows by itself. */
export interface TrustAnchor {
  readonly pem: string;
  /** SHA-256 of its DER: upper-case hexadecimal bytes with colons between them, as OpenSSL and browsers show it. */
  readonly sha256: string;
}

/** How an endpoint encrypts, as far as everybody may know. */
export interface EndpointTls {
  readonly mode: Exclude<TlsConfig['mode'], 'off'>;
  /** When the certificate ends, in milliseconds since the epoch. */
  readonly expiresAt: number;
  /** `sha256//` and the base64 digest of the certificate's public key, as curl's `--pinnedpubkey` takes it. */
  readonly publicKeyPin: string;
  /** What a client has to trust; left out when every system trusts the certificate already. */
  readonly anchor?: TrustAnchor;
  /** Why there is no newer certificate yet, in words; left out while all is well. */
  readonly problem?: Message;
}

const pemBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates in a PEM text, in its order. */
export function certificatesIn(chain: string): readonly X509Certificate[] {
  return (chain.match(pemBlock) ?? []).map((pem) => new X509Certificate(pem));
}

/** What is to be known of a certificate. */
export function describeTls(
  mode: EndpointTls['mode'],
  { chain }: Certificate,
  problem: Message | undefined,
): EndpointTls {
  const certificates = certificatesIn(chain);
  const [leaf] = certificates;
  if (leaf === undefined) throw new Error('no certificate in the chain');
  const anchor = anchorOf(certificates);
  const publicKey = leaf.publicKey.export({ type: 'spki', format: 'der' });
  return {
    mode,
    expiresAt: leaf.validToDate.getTime(),
    publicKeyPin: `sha256//${createHash('sha256').update(publicKey).digest('base64')}`,
    ...(anchor && { anchor: { pem: anchor.toString(), sha256: anchor.fingerprint256 } }),
    ...(problem && { problem }),
  };
}

/** The last of a chain, unless a root that systems know has signed it or is it. */
function anchorOf(certificates: readonly X509Certificate[]): X509Certificate | undefined {
  const last = certificates.at(-1);
  const isKnown = rootCertificates.some((pem) => {
    const root = new X509Certificate(pem);
    return root.fingerprint256 === last?.fingerprint256 || (last?.checkIssued(root) && last.verify(root.publicKey));
  });
  return isKnown ? undefined : last;
}
