import { AsyncLocalStorage } from 'node:async_hooks';
import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { getCACertificates } from 'node:tls';
import { axios } from 'acme-client';
import * as z from 'zod/mini';
import { GuardError, systemErrorCode } from '../errors.ts';
import { certificatesIn } from './certificate.ts';
import type { TlsConfigOf } from './tlsConfig.ts';

/** A request without a byte for this long is given up, in milliseconds. */
const requestTimeoutMs = 30_000;

/** No answer of a directory, a chain of certificates included, comes near this. */
const maxAnswerBytes = 1024 * 1024;

/** How far this computer's clock and a directory's may be apart, in milliseconds. */
export const clockToleranceMs = 60 * 60_000;

/** What of a directory's words is passed on. */
const maxDetailLength = 300;

/** The kinds of errors that directories know begin with this: RFC 8555 §6.7. */
const kindPrefix = 'urn:ietf:params:acme:error:';

/** An error as a directory describes it: RFC 8555 §6.7. */
const errorDocument = z.object({ type: z.optional(z.string()), detail: z.optional(z.string()) });

type ErrorDocument = z.output<typeof errorDocument>;

/** What a directory says of an error; `otherwise` where it says nothing. */
export function parseError(data: unknown, otherwise: string): ErrorDocument {
  return { detail: otherwise, ...errorDocument.safeParse(data).data };
}

/** What a directory said no with. */
export class DirectoryError extends Error {
  /** Such as `rateLimited`; empty when the directory gave none. */
  readonly kind: string;
  /** When the directory wants to be asked again at the earliest, in milliseconds from now: RFC 8555 §6.6. */
  readonly retryAfterMs: number;

  constructor({ type = '', detail = '' }: ErrorDocument, retryAfterMs = 0) {
    super(printable(detail || type));
    this.name = 'DirectoryError';
    this.kind = type.startsWith(kindPrefix) ? type.slice(kindPrefix.length) : '';
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether `error` is a DirectoryError, of that kind when one is given. */
  static is(error: unknown, kind?: string): error is DirectoryError {
    return error instanceof DirectoryError && (kind === undefined || error.kind === kind);
  }
}

/** Why a directory did not find this endpoint to have the domain: RFC 8555 §7.1.5. */
export class ChallengeError extends DirectoryError {}

/** Words of a stranger: one line, and not too long. */
function printable(text: string): string {
  return text
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, maxDetailLength);
}

/** What an exchange with a directory works with. */
export interface Exchange {
  readonly config: TlsConfigOf<'acme'>;
  /** Gives up what is under way. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const exchanges = new AsyncLocalStorage<Exchange & { readonly httpsAgent: Agent }>();

/**
 * Runs what talks with a directory by acme-client.
 *
 * @throws GuardError `certificate-unavailable` when it cannot be talked with, or the clocks are too far apart.
 * @throws DirectoryError what it says no with.
 */
export async function exchange<T>(what: Exchange, run: () => Promise<T>): Promise<T> {
  const httpsAgent = new Agent({ ca: await authorities(what.config.directoryCa), keepAlive: true });
  try {
    return await exchanges.run({ ...what, httpsAgent }, run);
  } finally {
    httpsAgent.destroy();
  }
}

/** Who vouches for a directory: the one authority the owner named, or whomever Node and this computer trust. */
async function authorities(path: string | undefined): Promise<string[]> {
  if (path === undefined) return [...getCACertificates('default'), ...getCACertificates('system')];
  const pem = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new GuardError('certificate-unavailable', "The directory's authority cannot be read from {path}: {reason}", {
      args: { path, reason: systemErrorCode(cause) ?? String(cause) },
      cause,
    });
  });
  if (!holdsCertificate(pem)) {
    throw new GuardError(
      'certificate-unavailable',
      "{path} holds no certificate in PEM. Name the directory's authority.",
      {
        args: { path },
      },
    );
  }
  return [pem];
}

function holdsCertificate(pem: string): boolean {
  try {
    return certificatesIn(pem).length > 0;
  } catch {
    return false;
  }
}

// acme-client's own retries wait for as long as any server says, cannot be given up, and lose the error they end with.
axios.interceptors.request.clear();
axios.interceptors.response.clear();

axios.interceptors.request.use((request) => {
  const { config, httpsAgent, signal } = current();
  if (URL.parse(request.url ?? '')?.protocol !== 'https:') throw notADirectory(config);
  return Object.assign(request, {
    httpsAgent,
    signal,
    timeout: requestTimeoutMs,
    maxContentLength: maxAnswerBytes,
    // What a directory says it says over https, and at the addresses it named.
    maxRedirects: 0,
  });
});

axios.interceptors.response.use(
  (response) => {
    const { config, now } = current();
    const { status, headers, data } = response;
    const date = Date.parse(String(headers.date));
    if (Math.abs(date - now()) > clockToleranceMs) throw wrongClock(date, now());
    if (response.config.url === config.directory && status < 500 && !directoryDocument.safeParse(data).success) {
      throw notADirectory(config);
    }
    if (status < 400) return response;
    const problem = parseError(data, `HTTP ${status}`);
    // acme-client asks again itself, with a new nonce.
    if (problem.type === `${kindPrefix}badNonce`) return response;
    throw new DirectoryError(problem, retryAfterMs(String(headers['retry-after']), now()));
  },
  (error: unknown) => {
    throw GuardError.is(error) ? error : unreachable(current().config, error);
  },
);

function current() {
  const found = exchanges.getStore();
  if (found === undefined) throw new Error('no exchange with a directory is under way');
  return found;
}

/** What every directory names: RFC 8555 §7.1.1. */
const directoryDocument = z.object({ newNonce: z.url(), newAccount: z.url(), newOrder: z.url() });

/** A Retry-After header, seconds or a date, as milliseconds from now: RFC 9110 §10.2.3. */
function retryAfterMs(header: string, now: number): number {
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now;
  return ms > 0 ? ms : 0;
}

function notADirectory({ directory }: TlsConfigOf<'acme'>): GuardError {
  return new GuardError('certificate-unavailable', 'No ACME directory answers at {directory}. Check the address.', {
    args: { directory },
  });
}

function wrongClock(date: number, now: number): GuardError {
  return new GuardError(
    'certificate-unavailable',
    'The clock of this computer shows {clock}, that of the ACME directory {date}. Set the clock of this computer.',
    { args: { clock: new Date(now).toISOString(), date: new Date(date).toISOString() } },
  );
}

/** By what Node says of a certificate: https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const distrusted =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_(UNTRUSTED|REJECTED|SIGNATURE)|INVALID_CA|ERR_TLS_CERT_ALTNAME)/;

function unreachable({ directory }: TlsConfigOf<'acme'>, cause: unknown): GuardError {
  const reason = systemErrorCode(cause) ?? String(cause);
  const options = { args: { directory, reason }, cause };
  if (/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/.test(reason)) {
    return new GuardError(
      'certificate-unavailable',
      'The certificate of the ACME directory {directory} is not valid now ({reason}). Look at the clock of this computer first.',
      options,
    );
  }
  if (distrusted.test(reason)) {
    return new GuardError(
      'certificate-unavailable',
      'The certificate of the ACME directory {directory} is from no authority that this computer trusts ({reason}). Name the PEM file of its authority.',
      options,
    );
  }
  return new GuardError(
    'certificate-unavailable',
    'The ACME directory {directory} cannot be reached ({reason}). Check its address, and whether this computer is online.',
    options,
  );
}
