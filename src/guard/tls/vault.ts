/** What is kept secret between starts, each as one text. */
export type VaultEntry =
  /** The certificate authority of this installation, with its private key. */
  | 'authority'
  /** The account at an ACME directory, with its private key. */
  | 'acme-account'
  /** The certificate an ACME directory gave, with its private key. */
  | 'acme-certificate'
  /** The HMAC key of an external account binding, in base64url: RFC 8555 §7.3.4. */
  | 'acme-external-account';

/** Where private keys are kept: VS Code's SecretStorage, or files that their owner alone may read. */
export interface Vault {
  /**
   * The text of an entry; undefined when there is none.
   *
   * @throws GuardError `data-unavailable`. Whoever reads must not take that for "none" and write over it.
   */
  read(entry: VaultEntry): Promise<string | undefined>;
  /** @throws GuardError `data-unavailable`. */
  write(entry: VaultEntry, text: string): Promise<void>;
}

/** A vault that lasts as long as the process does. */
export function createMemoryVault(): Vault {
  const texts = new Map<VaultEntry, string>();
  return {
    read: async (entry) => texts.get(entry),
    write: async (entry, text) => void texts.set(entry, text),
  };
}
