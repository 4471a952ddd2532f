import type { Socket } from 'node:net';
import type { Message } from '../message.ts';
import type { Certificate } from './certificate.ts';
import type { TlsConfig, TlsConfigOf } from './tlsConfig.ts';
import type { Vault } from './vault.ts';

/** Where the certificate of an endpoint comes from, and goes on coming from. */
export interface CertificateSource {
  /** What to begin with. */
  readonly certificate: Certificate;
  /** Ends watching and renewing. */
  close(): void;
}

/** What a source works with. */
export interface SourcePorts {
  readonly vault: Vault;
  /** Host names the owner configured, beside the computer's own. */
  readonly allowedHosts: readonly string[];
  /** The listener's side of `tls-alpn-01`. */
  readonly challenges: Challenges;
  /** Called with every certificate after the first, when it is good to be used. */
  readonly onCertificate: (certificate: Certificate) => void;
  /** Called when a newer certificate is in reach but cannot be had, and with undefined once that is over. */
  readonly onProblem: (problem: Message | undefined) => void;
  /** Milliseconds since the epoch; replaced in tests. */
  readonly now?: () => number;
}

/** Takes connections whose ClientHello asks for `acme-tls/1` while a directory is to make sure of this endpoint. */
export interface Challenges {
  onAlpn: ((socket: Socket) => void) | undefined;
}

/**
 * Gets the first certificate, and goes on getting newer ones.
 *
 * @throws GuardError why there is none.
 */
export type OpenSource<Mode extends TlsConfig['mode']> = (
  config: TlsConfigOf<Mode>,
  ports: SourcePorts,
) => Promise<CertificateSource>;

/** Loaded when they are needed: making certificates takes far more code than serving them. */
export async function openSource(config: TlsConfig, ports: SourcePorts): Promise<CertificateSource | undefined> {
  switch (config.mode) {
    case 'off':
      return undefined;
    case 'auto':
      return (await import('./auto.ts')).openAuto(config, ports);
    case 'files':
      return (await import('./files.ts')).openFiles(config, ports);
    case 'acme':
      return (await import('./acme.ts')).openAcme(config, ports);
  }
}
