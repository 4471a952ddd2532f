import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { GuardError, systemErrorCode } from '../errors.ts';
import type { Message } from '../message.ts';
import { type Certificate, certificatesIn, isIssuedBy } from './certificate.ts';
import { tlsOptions } from './options.ts';
import type { CertificateSource, SourcePorts } from './source.ts';
import type { TlsConfigOf } from './tlsConfig.ts';
import { watch } from './watch.ts';

/** Where the certificate and its key are. */
type Paths = Pick<TlsConfigOf<'files'>, 'certificate' | 'key'>;

/** What the files held. */
interface Texts {
  readonly certificate: string;
  readonly key: string;
}

/** What files hold that can be used. */
interface Pair {
  readonly texts: Texts;
  readonly certificate: Certificate;
  readonly endsAt: number;
  /** What is wrong with it although it can be used. */
  readonly flaw: Message | undefined;
}

/** Chains of a few certificates have some kilobytes. */
const maxFileBytes = 1024 * 1024;

/** What writes the files writes one after the other, so a pair that does not fit may be half of a new one. */
const failuresUntilTold = 2;

/**
 * The certificate and key of two PEM files, read again when they change.
 *
 * @throws GuardError `certificate-invalid`, naming the file and what to do.
 */
export async function openFiles(
  paths: TlsConfigOf<'files'>,
  { onCertificate, onProblem, now = Date.now }: SourcePorts,
): Promise<CertificateSource> {
  let pair = checkPair(await readTexts(paths), paths, now());
  let failures = 0;
  const look = async (standing: Message | undefined): Promise<Message | undefined> => {
    try {
      // Contents tell more than times do: renewed files come by a link that is turned round, or over a network.
      const texts = await readTexts(paths);
      if (!isDeepStrictEqual(texts, pair.texts)) {
        const newer = checkPair(texts, paths, now());
        onCertificate(newer.certificate);
        pair = newer;
      }
      failures = 0;
      return now() < pair.endsAt ? pair.flaw : ranOut(paths.certificate, pair.endsAt).detail;
    } catch (error) {
      failures += 1;
      if (failures < failuresUntilTold) return standing;
      throw error;
    }
  };
  const { certificate, flaw } = pair;
  if (flaw !== undefined) onProblem(flaw);
  return { certificate, close: watch(look, onProblem, flaw) };
}

async function readTexts(paths: Paths): Promise<Texts> {
  return { certificate: await readText(paths.certificate), key: await readText(paths.key) };
}

/**
 * The text of a file; empty for one that is too long, and for pipes and devices, which may have no end.
 *
 * @throws GuardError `certificate-invalid`.
 */
async function readText(file: string): Promise<string> {
  try {
    const info = await stat(file);
    return info.isFile() && info.size <= maxFileBytes ? await readFile(file, 'utf8') : '';
  } catch (cause) {
    throw new GuardError(
      'certificate-invalid',
      '{file} cannot be read ({reason}). Check the path, and that this user may read it.',
      { args: { file, reason: systemErrorCode(cause) ?? String(cause) }, cause },
    );
  }
}

/** @throws GuardError `certificate-invalid`. */
function checkPair(texts: Texts, paths: Paths, now: number): Pair {
  const { certificates, own } = certificatesOf(texts.certificate, paths.certificate);
  const key = privateKeyOf(texts.key, paths.key);
  if (!own.checkPrivateKey(key)) {
    throw new GuardError(
      'certificate-invalid',
      "The private key in {key} is not that of the first certificate in {certificate}. Give two files that belong together, the endpoint's own certificate first.",
      { args: { key: paths.key, certificate: paths.certificate } },
    );
  }
  const [beginsAt, endsAt] = [own.validFromDate.getTime(), own.validToDate.getTime()];
  if (now >= endsAt) throw ranOut(paths.certificate, endsAt);
  if (now < beginsAt) {
    throw new GuardError(
      'certificate-invalid',
      'The certificate in {file} is not valid before {time}. Wait until then, or set the clock of this computer right.',
      { args: { file: paths.certificate, time: inWords(beginsAt) } },
    );
  }
  const certificate = {
    chain: certificates.map(String).join(''),
    key: String(key.export({ type: 'pkcs8', format: 'pem' })),
  };
  demandUsable(certificate, paths.certificate);
  return { texts, certificate, endsAt, flaw: flawOf(certificates, paths.certificate) };
}

function certificatesOf(text: string, file: string) {
  try {
    const certificates = certificatesIn(text);
    const [own] = certificates;
    if (own !== undefined) return { certificates, own };
    throw new Error('no certificate');
  } catch (cause) {
    throw new GuardError(
      'certificate-invalid',
      "{file} holds no certificate that can be read. It must be a PEM file: the endpoint's own certificate, then those of its authorities.",
      { args: { file }, cause },
    );
  }
}

function privateKeyOf(text: string, file: string): KeyObject {
  if (/^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    throw new GuardError(
      'certificate-invalid',
      'The private key in {file} has a passphrase, and nobody is there to type it. Remove it with openssl pkey.',
      { args: { file } },
    );
  }
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw new GuardError(
      'certificate-invalid',
      'There is no private key that can be read in {file}. It must be a PEM file.',
      { args: { file }, cause },
    );
  }
}

/** OpenSSL has rules of its own, such as how long a key must be. */
function demandUsable({ chain, key }: Certificate, file: string): void {
  try {
    createSecureContext({ ...tlsOptions, cert: chain, key });
  } catch (cause) {
    throw new GuardError(
      'certificate-invalid',
      'TLS does not take the certificate in {file} ({reason}). Have one made with a key of ECDSA P-256 or RSA 2048.',
      { args: { file, reason: cause instanceof Error ? cause.message : String(cause) }, cause },
    );
  }
}

function flawOf(certificates: readonly X509Certificate[], file: string): Message | undefined {
  const isChain = certificates.every((certificate, index) => {
    const issuer = certificates[index + 1];
    return issuer === undefined || isIssuedBy(certificate, issuer);
  });
  if (!isChain) {
    return {
      text: "The certificates in {file} are no chain, so some clients will not trust them. Put the endpoint's own first, and after each the one that vouches for it.",
      args: { file },
    };
  }
  const [own] = certificates;
  if (own === undefined || certificates.length > 1 || isIssuedBy(own, own)) return undefined;
  return {
    text: "{file} holds the endpoint's own certificate alone, so some clients will not trust it. Add those of its authorities, as in a file called fullchain.pem.",
    args: { file },
  };
}

function ranOut(file: string, endsAt: number): GuardError {
  return new GuardError('certificate-invalid', 'The certificate in {file} ran out on {time}. Renew it.', {
    args: { file, time: inWords(endsAt) },
  });
}

/** Such as `2026-12-31 14:00 UTC`. */
function inWords(time: number): string {
  return `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
