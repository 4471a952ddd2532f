import type { SecretStorage } from 'vscode';
import { GuardError } from '../guard/errors.ts';
import type { Vault } from '../guard/tls/vault.ts';

/** Private keys in VS Code's SecretStorage, one secret each. */
export function createSecretVault(secrets: SecretStorage): Vault {
  const guarded = async <T>(step: Thenable<T>): Promise<T> => {
    try {
      return await step;
    } catch (cause) {
      throw new GuardError(
        'data-unavailable',
        "VS Code's secret storage fails, so the endpoint's private key cannot be had: {reason}",
        { args: { reason: String(cause) }, cause },
      );
    }
  };
  const key = (entry: string): string => `ollamaGuard.tls.${entry}`;
  return {
    read: (entry) => guarded(secrets.get(key(entry))),
    write: (entry, text) => guarded(secrets.store(key(entry), text)),
  };
}
