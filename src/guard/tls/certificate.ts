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
    ...(anchor && { anchor: trustAnchor(anchor) }),
    ...(problem && { problem }),
  };
}

/** A certificate as clients are given it to trust. */
export function trustAnchor(certificate: X509Certificate): TrustAnchor {
  return { pem: certificate.toString(), sha256: certificate.fingerprint256 };
}

/**
 * Where the way up from the first certificate ends, whatever the order of the others; undefined when a root that
 * systems know vouches for one on that way.
 *
 * The end is a root where the chain holds it, which servers need not send. Otherwise it is the certificate of an
 * authority below the root, or the endpoint's own: curl and Python from 3.13 on trust such a one as it is, and Node does
 * with `allowPartialTrustChain`.
 */
function anchorOf(certificates: readonly X509Certificate[]): X509Certificate | undefined {
  let last: X509Certificate | undefined;
  let next = certificates[0];
  const above = new Set(certificates);
  while (next !== undefined) {
    const current: X509Certificate = next;
    if (wellKnownRoots().some((root) => isIssuedBy(current, root))) return undefined;
    last = current;
    above.delete(current);
    next = [...above].find((candidate) => isIssuedBy(current, candidate));
  }
  return last;
}

/** Whether a certificate is from an issuer: by its name and by its signature. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

let parsedRoots: readonly X509Certificate[] | undefined;

/** Those of Mozilla, as Node has them. */
function wellKnownRoots(): readonly X509Certificate[] {
  parsedRoots ??= rootCertificates.map((pem) => new X509Certificate(pem));
  return parsedRoots;
}
