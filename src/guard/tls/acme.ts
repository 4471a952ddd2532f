import { isDeepStrictEqual } from 'node:util';
import { GuardError } from '../errors.ts';
import type { Message } from '../message.ts';
import { clockToleranceMs, DirectoryError, exchange } from './acmeDirectory.ts';
import { explain } from './acmeErrors.ts';
import { orderCertificate } from './acmeOrder.ts';
import { certificates } from './acmeStore.ts';
import { type Certificate, certificatesIn } from './certificate.ts';
import type { CertificateSource, OpenSource, SourcePorts } from './source.ts';
import type { TlsConfigOf } from './tlsConfig.ts';

type AcmeConfig = TlsConfigOf<'acme'>;

/** One order is given up after this long, in milliseconds. */
const orderTimeoutMs = 3 * 60_000;

/** How often the clock is looked at, in milliseconds: a computer that slept has missed every timer. */
const checkMs = 60_000;

/** Between two tries, in milliseconds: the first time, and at most. */
const firstPauseMs = 2 * 60_000;
const maxPauseMs = 12 * 60 * 60_000;

/**
 * How long to wait after a number of failures in a row, in milliseconds: twice as long each time, and by up to a half
 * shorter, so that not everybody comes back at once.
 *
 * @param random from 0 to 1.
 */
export function pauseAfter(failures: number, random: number): number {
  return Math.min(maxPauseMs, firstPauseMs * 2 ** (failures - 1)) * (1 - random / 2);
}

/** Where a certificate stands: `early` before its time, `due` with a third of its life left, `over` after its end. */
export type Phase = 'early' | 'fresh' | 'due' | 'over';

/** @param now milliseconds since the epoch. */
export function phaseOf(certificate: Certificate, now: number): Phase {
  const { from, to } = lifeOf(certificate);
  if (now < from - clockToleranceMs) return 'early';
  if (now < to - (to - from) / 3) return 'fresh';
  return now < to ? 'due' : 'over';
}

/** When a certificate begins and ends, in milliseconds since the epoch. */
function lifeOf({ chain }: Certificate): { readonly from: number; readonly to: number } {
  const [leaf] = certificatesIn(chain);
  if (leaf === undefined) throw new Error('no certificate in the chain');
  return { from: leaf.validFromDate.getTime(), to: leaf.validToDate.getTime() };
}

/** Certificates from an ACME directory (RFC 8555), each asked for once and kept in the vault. */
export const openAcme: OpenSource<'acme'> = async (config, ports) => {
  const { directory, domain } = config;
  const source = new AcmeSource(config, ports);
  const stored = await certificates.find(ports.vault, { directory, domain });
  await source.open(stored && { chain: stored.chain, key: stored.key });
  return source;
};

class AcmeSource implements CertificateSource {
  readonly #config: AcmeConfig;
  readonly #ports: SourcePorts;
  readonly #now: () => number;
  readonly #closed = new AbortController();
  #certificate: Certificate | undefined;
  /** Whether the certificate is in the vault. */
  #isStored = true;
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  /** Orders that failed since the last that did not. */
  #failures = 0;
  /** When the last one did, in milliseconds since the epoch, and for how long from then on nothing is asked for. */
  #failedAt = 0;
  #pauseMs = 0;
  #problem: Message | undefined;

  constructor(config: AcmeConfig, ports: SourcePorts) {
    this.#config = config;
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
  }

  get certificate(): Certificate {
    if (this.#certificate === undefined) throw new Error('not open yet');
    return this.#certificate;
  }

  async open(stored: Certificate | undefined): Promise<void> {
    if (stored !== undefined && phaseOf(stored, this.#now()) !== 'over') {
      this.#certificate = stored;
      void this.#check();
    } else {
      this.#certificate = await this.#order().catch((error: GuardError) => {
        throw stored === undefined ? error : ranOut(this.#config.domain, stored, error);
      });
      this.#isStored = false;
      await this.#check();
    }
    this.#timer = setInterval(() => void this.#check(), checkMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#closed.abort();
  }

  /** Does what there is to do, one thing at a time, and tells what stands in its way. Never rejects. */
  async #check(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      this.#tell(await this.#advance());
    } catch (error) {
      this.#tell(GuardError.is(error) ? error.detail : { text: '{reason}', args: { reason: String(error) } });
    } finally {
      this.#isBusy = false;
    }
  }

  /** @throws GuardError why there is no newer certificate, or why the one there is cannot be kept. */
  async #advance(): Promise<Message | undefined> {
    if (!this.#isStored) await this.#store();
    const phase = phaseOf(this.certificate, this.#now());
    // Before its time by this clock and given already: the clock is wrong, and another one would be no better.
    if (phase === 'early') throw outOfTime(this.certificate);
    if (phase === 'fresh') return undefined;
    if (this.#isPausing()) return this.#problem;
    const certificate = await this.#order();
    this.#certificate = certificate;
    this.#isStored = false;
    if (!this.#closed.signal.aborted) this.#ports.onCertificate(certificate);
    await this.#store();
    return undefined;
  }

  async #order(): Promise<Certificate> {
    const { vault, challenges } = this.#ports;
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(orderTimeoutMs)]);
    try {
      const certificate = await exchange({ config: this.#config, signal, now: this.#now }, () =>
        orderCertificate(this.#config, { vault, challenges, signal }),
      );
      if (phaseOf(certificate, this.#now()) !== 'fresh') throw outOfTime(certificate);
      this.#failures = 0;
      return certificate;
    } catch (error) {
      this.#failures += 1;
      this.#failedAt = this.#now();
      const retryAfterMs = DirectoryError.is(error) ? error.retryAfterMs : 0;
      this.#pauseMs = Math.min(Math.max(pauseAfter(this.#failures, Math.random()), retryAfterMs), maxPauseMs);
      throw explain(error, this.#config, signal);
    }
  }

  /** A clock that was put back has not begun the pause yet, and would make it endless. */
  #isPausing(): boolean {
    const waited = this.#now() - this.#failedAt;
    return this.#failures > 0 && waited >= 0 && waited < this.#pauseMs;
  }

  async #store(): Promise<void> {
    const { directory, domain } = this.#config;
    await certificates.save(this.#ports.vault, { directory, domain, ...this.certificate });
    this.#isStored = true;
  }

  #tell(problem: Message | undefined): void {
    if (this.#closed.signal.aborted || isDeepStrictEqual(problem, this.#problem)) return;
    this.#problem = problem;
    this.#ports.onProblem(problem);
  }
}

function outOfTime(certificate: Certificate): GuardError {
  const { from, to } = lifeOf(certificate);
  return new GuardError(
    'certificate-unavailable',
    'By the clock of this computer, this is not the time of the certificate: it is for {from} to {to}. Set the clock of this computer.',
    { args: { from: new Date(from).toISOString(), to: new Date(to).toISOString() } },
  );
}

function ranOut(domain: string, stored: Certificate, { code, message, cause }: GuardError): GuardError {
  return new GuardError(code, 'The certificate for {domain} ran out at {date}, and there is no new one. {reason}', {
    args: { domain, date: new Date(lifeOf(stored).to).toISOString(), reason: message },
    cause,
  });
}
