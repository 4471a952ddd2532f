import type { Server as HttpsServer } from 'node:https';
import type { Message } from '../message.ts';
import { type Certificate, describeTls, type EndpointTls } from './certificate.ts';
import { tlsOptions } from './options.ts';
import { type CertificateSource, type Challenges, openSource } from './source.ts';
import type { TlsConfig } from './tlsConfig.ts';
import type { Vault } from './vault.ts';

/** What the certificate of an endpoint works with. */
export interface CertificatePorts {
  readonly config: TlsConfig;
  readonly allowedHosts: readonly string[];
  readonly vault: Vault;
  /** Called when what everybody may know has changed after `open`. */
  readonly onChange: (tls: EndpointTls) => void;
}

/**
 * The certificate of an endpoint, and the servers that present it. A newer one is presented to connections that come
 * from then on; those that are there keep what they have, so no stream breaks.
 */
export class EndpointCertificate {
  readonly challenges: Challenges = { onAlpn: undefined };
  readonly #ports: CertificatePorts;
  readonly #servers = new Set<HttpsServer>();
  #opening: Promise<void> | undefined;
  #source: CertificateSource | undefined;
  #certificate: Certificate | undefined;
  #problem: Message | undefined;
  #tls: EndpointTls | undefined;
  #closed = false;

  constructor(ports: CertificatePorts) {
    this.#ports = ports;
  }

  /** Undefined while nothing is encrypted. */
  get tls(): EndpointTls | undefined {
    return this.#tls;
  }

  /**
   * Gets the first certificate. Does nothing once there is one, and tries again after a failure.
   *
   * @throws GuardError why there is none.
   */
  open(): Promise<void> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #open(): Promise<void> {
    const { config, allowedHosts, vault } = this.#ports;
    const source = await openSource(config, {
      vault,
      allowedHosts,
      challenges: this.challenges,
      onCertificate: (certificate) => this.#take(certificate),
      onProblem: (problem) => {
        this.#problem = problem;
        this.#describe();
      },
    });
    if (source === undefined) return;
    this.#source = source;
    if (this.#closed) source.close();
    else if (this.#certificate === undefined) this.#take(source.certificate);
  }

  /** Presents the certificate on a server, now and whenever it changes. */
  presentOn(server: HttpsServer): void {
    this.#servers.add(server);
    if (this.#certificate !== undefined) present(server, this.#certificate);
  }

  /** Leaves a server alone that is being closed. */
  forget(server: HttpsServer): void {
    this.#servers.delete(server);
  }

  close(): void {
    this.#closed = true;
    this.#source?.close();
  }

  #take(certificate: Certificate): void {
    if (this.#closed) return;
    for (const server of this.#servers) present(server, certificate);
    this.#certificate = certificate;
    this.#describe();
  }

  #describe(): void {
    const { config, onChange } = this.#ports;
    if (this.#closed || config.mode === 'off' || this.#certificate === undefined) return;
    const isFirst = this.#tls === undefined;
    this.#tls = describeTls(config.mode, this.#certificate, this.#problem);
    if (!isFirst) onChange(this.#tls);
  }
}

/** Sessions of the certificate before are not resumed: its place is taken, also for clients that come back. */
function present(server: HttpsServer, { chain, key }: Certificate): void {
  server.setSecureContext({ ...tlsOptions, cert: chain, key });
}
