import { GuardError } from '../errors.ts';
import { ChallengeError, DirectoryError } from './acmeDirectory.ts';
import type { TlsConfigOf } from './tlsConfig.ts';

type AcmeConfig = TlsConfigOf<'acme'>;

/** Where directories ask: RFC 8737 §3, RFC 8555 §8.3. */
const challengePorts = { 'tls-alpn-01': 443, 'http-01': 80 } as const;

/**
 * Why there is no certificate, in a sentence that says what to do.
 *
 * @param error what an order was ended by.
 * @param signal what could have given the order up.
 */
export function explain(error: unknown, config: AcmeConfig, signal: AbortSignal): GuardError {
  if (GuardError.is(error)) return error;
  const { directory, domain, email = '', externalAccount: account = '', challenge } = config;
  if (signal.aborted) {
    return new GuardError(
      'certificate-unavailable',
      'The ACME directory {directory} did not finish in time. Try again later.',
      { args: { directory }, cause: error },
    );
  }
  const reason = error instanceof Error ? error.message : String(error);
  const args = { directory, domain, email, account, reason, port: challengePorts[challenge] };
  const sentence = DirectoryError.is(error) ? sentences[error.kind] : undefined;
  const otherwise = error instanceof ChallengeError ? unreached : refused;
  return (sentence ?? otherwise)({ args, cause: error });
}

/** What every sentence may name. */
interface Details {
  readonly args: Readonly<
    Record<'directory' | 'domain' | 'email' | 'account' | 'reason', string> & { readonly port: number }
  >;
  readonly cause: unknown;
}

type Sentence = (details: Details) => GuardError;

const refused: Sentence = (details) =>
  new GuardError(
    'certificate-unavailable',
    'The ACME directory {directory} gives no certificate for {domain}: {reason}',
    details,
  );

const unreached: Sentence = (details) =>
  new GuardError(
    'certificate-unavailable',
    'The ACME directory does not find this endpoint at {domain}, port {port}. Make the domain and the port lead here: {reason}',
    details,
  );

const badEmail: Sentence = (details) =>
  new GuardError(
    'certificate-unavailable',
    'The ACME directory {directory} does not take the e-mail address {email}. Give another one: {reason}',
    details,
  );

/** By the kind of error: RFC 8555 §6.7. */
const sentences: Readonly<Record<string, Sentence>> = {
  caa: (details) =>
    new GuardError(
      'certificate-unavailable',
      'A CAA record of {domain} forbids the ACME directory {directory} to give a certificate. Change the record, or choose another directory: {reason}',
      details,
    ),
  dns: (details) =>
    new GuardError(
      'certificate-unavailable',
      'The ACME directory finds no address for {domain}. Make the domain lead to this computer: {reason}',
      details,
    ),
  externalAccountRequired: (details) =>
    new GuardError(
      'certificate-unavailable',
      'The ACME directory {directory} wants an external account. Give its id and its HMAC key.',
      details,
    ),
  invalidContact: badEmail,
  rateLimited: (details) =>
    new GuardError(
      'certificate-unavailable',
      'The ACME directory {directory} gives no more certificates for now. Wait before trying again: {reason}',
      details,
    ),
  rejectedIdentifier: (details) =>
    new GuardError(
      'certificate-unavailable',
      'The ACME directory {directory} gives no certificates for {domain}. Choose another domain: {reason}',
      details,
    ),
  unsupportedContact: badEmail,
};

/** A directory that does not take the external account it was given. */
export function externalAccountRefused({ directory, externalAccount }: AcmeConfig, cause: DirectoryError): GuardError {
  return new GuardError(
    'certificate-unavailable',
    'The ACME directory {directory} does not take the external account {account}. Check its id and its HMAC key: {reason}',
    { args: { directory, account: externalAccount ?? '', reason: cause.message }, cause },
  );
}
