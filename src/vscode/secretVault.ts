import type { Memento, SecretStorage } from 'vscode';
import { GuardError } from '../guard/errors.ts';
import type { Vault } from '../guard/tls/vault.ts';

/** Says, outside of the secrets, that there is an authority among them. */
const madeKey = 'ollamaGuard.hasAuthority';

const keyOf = (entry: string): string => `ollamaGuard.tls.${entry}`;

/**
 * Private keys in VS Code's SecretStorage, one secret each.
 *
 * VS Code deletes a secret it cannot decrypt any more and says that there is none, as after a change of the system's
 * keyring. For the certificate authority that would mean a new one, which no teammate could tell from a man in the
 * middle, so that it was made once is remembered beside.
 */
export function createSecretVault(secrets: SecretStorage, memory: Memento): Vault {
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
  return {
    async read(entry) {
      const text = await guarded(secrets.get(keyOf(entry)));
      if (text === undefined && entry === 'authority' && memory.get(madeKey) === true) throw lost();
      return text;
    },
    async write(entry, text) {
      await guarded(secrets.store(keyOf(entry), text));
      if (entry === 'authority') await memory.update(madeKey, true);
    },
  };
}

/** Makes way for a new certificate authority. */
export async function forgetAuthority(secrets: SecretStorage, memory: Memento): Promise<void> {
  await secrets.delete(keyOf('authority'));
  await memory.update(madeKey, undefined);
}

function lost(): GuardError {
  return new GuardError(
    'data-unavailable',
    'VS Code has lost the key of the certificate authority that teammates trust. Call "Replace Certificate Authority" and invite them anew.',
  );
}
