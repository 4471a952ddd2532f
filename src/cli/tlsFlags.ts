import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { GuardConfigInput } from '../guard/config.ts';
import { systemErrorCode } from '../guard/errors.ts';
import { letsEncrypt } from '../guard/tls/tlsConfig.ts';
import type { Vault } from '../guard/tls/vault.ts';
import { parsePort } from './options.ts';
import { UsageError } from './usageError.ts';

type TlsConfigInput = NonNullable<GuardConfigInput['tls']>;

/** How `serve` is told to encrypt. */
export interface TlsFlags {
  readonly tls: string;
  readonly domain?: string;
  readonly email?: string;
  readonly acmeDirectory?: string;
  readonly acmeCa?: string;
  readonly acmeChallenge?: 'tls-alpn-01' | 'http-01';
  readonly acmeHttpPort?: number;
  readonly acmeEabKeyId?: string;
  readonly acmeEabHmacFile?: string;
}

/** Flags that mean something with `--tls acme` alone, as they are written. */
const acmeFlags = {
  domain: '--domain',
  email: '--email',
  acmeDirectory: '--acme-directory',
  acmeCa: '--acme-ca',
  acmeChallenge: '--acme-challenge',
  acmeHttpPort: '--acme-http-port',
  acmeEabKeyId: '--acme-eab-key-id',
  acmeEabHmacFile: '--acme-eab-hmac-file',
} as const satisfies Partial<Record<keyof TlsFlags, string>>;

/** Adds the flags of `TlsFlags` to a command. */
export function addTlsFlags(command: Command): Command {
  return command
    .addOption(new Option('--tls <how>', 'encrypt: off, auto, acme, or CERT.pem,KEY.pem').default('off'))
    .option('--domain <name>', 'acme: the domain this endpoint is reached at')
    .option('--email <address>', 'acme: where the directory sends warnings')
    .option('--acme-directory <url>', `acme: the directory; ${letsEncrypt} unless given`)
    .option('--acme-ca <file>', "acme: PEM of the authority behind the directory's own certificate")
    .addOption(
      new Option('--acme-challenge <type>', 'acme: how the domain is proven; tls-alpn-01 unless given').choices([
        'tls-alpn-01',
        'http-01',
      ]),
    )
    .addOption(
      new Option('--acme-http-port <port>', 'acme: where http-01 is answered; 80 unless given').argParser(parsePort),
    )
    .option('--acme-eab-key-id <id>', 'acme: id of an external account')
    .option('--acme-eab-hmac-file <file>', 'acme: file with its HMAC key; is kept, so once is enough');
}

/**
 * The part of a configuration that the flags stand for.
 *
 * @throws UsageError for flags that do not fit together.
 */
export function tlsConfigOf(flags: TlsFlags): TlsConfigInput {
  const { tls, domain } = flags;
  if (tls === 'acme') {
    if (domain === undefined) throw new UsageError('--tls acme needs a domain, such as --domain gpu.example.org.');
    return acmeConfig(flags, domain);
  }
  for (const [name, flag] of Object.entries(acmeFlags) as [keyof typeof acmeFlags, string][]) {
    if (flags[name] !== undefined) throw new UsageError(`${flag} goes with --tls acme alone.`);
  }
  if (tls === 'off' || tls === 'auto') return { mode: tls };
  const [certificate, key, ...rest] = tls.split(',');
  if (!certificate || !key || rest.length > 0) {
    throw new UsageError('Write --tls off, --tls auto, --tls acme or --tls CERT.pem,KEY.pem.');
  }
  return { mode: 'files', certificate, key };
}

function acmeConfig(flags: TlsFlags, domain: string): TlsConfigInput {
  const { email, acmeDirectory, acmeCa, acmeChallenge, acmeHttpPort, acmeEabKeyId, acmeEabHmacFile } = flags;
  if (acmeHttpPort !== undefined && acmeChallenge !== 'http-01') {
    throw new UsageError('--acme-http-port goes with --acme-challenge http-01 alone.');
  }
  if (acmeEabHmacFile !== undefined && acmeEabKeyId === undefined) {
    throw new UsageError('--acme-eab-hmac-file needs --acme-eab-key-id: the directory gives both.');
  }
  return {
    mode: 'acme',
    domain,
    ...(email !== undefined && { email }),
    ...(acmeDirectory !== undefined && { directory: acmeDirectory }),
    ...(acmeCa !== undefined && { directoryCa: acmeCa }),
    ...(acmeChallenge !== undefined && { challenge: acmeChallenge }),
    ...(acmeHttpPort !== undefined && { httpPort: acmeHttpPort }),
    ...(acmeEabKeyId !== undefined && { externalAccount: acmeEabKeyId }),
  };
}

/**
 * Puts the HMAC key of an external account where private keys are kept. Arguments are seen by every user of a computer,
 * so it comes in a file.
 *
 * @throws UsageError when the file holds none, GuardError `data-unavailable`.
 */
export async function keepHmacKey({ acmeEabHmacFile }: TlsFlags, vault: Vault): Promise<void> {
  if (acmeEabHmacFile === undefined) return;
  const text = await readFile(acmeEabHmacFile, 'utf8').catch((error: unknown) => {
    throw new UsageError(`${acmeEabHmacFile} cannot be read (${systemErrorCode(error)}).`);
  });
  const key = text.trim();
  if (!/^[A-Za-z0-9_-]+={0,2}$/.test(key)) {
    throw new UsageError(`${acmeEabHmacFile} holds no HMAC key. It must be in base64url, as the directory gives it.`);
  }
  await vault.write('acme-external-account', key);
}
