import { createPrivateKey, X509Certificate } from 'node:crypto';
import * as z from 'zod/mini';
import { GuardError } from '../errors.ts';
import { type TrustAnchor, trustAnchor } from './certificate.ts';
import type { Vault } from './vault.ts';

const fields = {
  /** PEM. */
  certificate: z.string(),
  /** The authority's private key: PKCS #8 in PEM. */
  key: z.string(),
  /** The endpoint's private key, kept as long as the authority, since clients pin it: PKCS #8 in PEM. */
  leafKey: z.string(),
};

const authorityRecord = z.strictObject({
  version: z.literal(1),
  ...fields,
  /** The one before, which counts again should the clock that ended it turn out to have been wrong. */
  previous: z.optional(z.strictObject(fields)),
});

/** The certificate authority of this installation as it is stored. */
export type AuthorityRecord = Readonly<z.output<typeof authorityRecord>>;

/**
 * The stored authority; undefined while there is none.
 *
 * @throws GuardError `data-damaged`, and what the vault throws. What is stored is left as it is.
 */
export async function readAuthorityRecord(vault: Vault): Promise<AuthorityRecord | undefined> {
  const text = await vault.read('authority');
  return text === undefined ? undefined : parse(text);
}

/** The text to store. */
export function authorityText(record: Omit<AuthorityRecord, 'version'>): string {
  return JSON.stringify({ ...record, version: 1 });
}

/**
 * The certificate of the stored authority, for whoever shows it; undefined while there is none.
 *
 * @throws GuardError as `readAuthorityRecord` does.
 */
export async function readAuthorityCertificate(vault: Vault): Promise<TrustAnchor | undefined> {
  const record = await readAuthorityRecord(vault);
  return record && trustAnchor(new X509Certificate(record.certificate));
}

function parse(text: string): AuthorityRecord {
  try {
    const record = authorityRecord.parse(JSON.parse(text));
    const certificate = new X509Certificate(record.certificate);
    createPrivateKey(record.leafKey);
    if (certificate.ca && certificate.checkPrivateKey(createPrivateKey(record.key))) return record;
    throw new Error('the key is of another certificate');
  } catch (cause) {
    throw new GuardError(
      'data-damaged',
      'The stored certificate authority is damaged. It was left as it is: restore it, or remove it to have a new one made, which teammates must trust anew.',
      { cause },
    );
  }
}
