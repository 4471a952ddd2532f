import type { EndpointTls } from '../tls/certificate.ts';

/** What a client needs to be sure whom it talks to, where no system knows the endpoint's certificate. */
export interface Trust {
  /** The certificate authority to trust, in PEM. */
  readonly pem: string;
  /** Its SHA-256, in upper-case hexadecimal with colons. */
  readonly sha256: string;
  /** `sha256//…` of the endpoint's own public key, as curl's `--pinnedpubkey` takes it. */
  readonly publicKeyPin: string;
}

/** What clients of an endpoint need; undefined when nothing is encrypted, or every system knows the certificate. */
export function trustOf(tls: EndpointTls | undefined): Trust | undefined {
  return tls?.anchor && { ...tls.anchor, publicKeyPin: tls.publicKeyPin };
}
