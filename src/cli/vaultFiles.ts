import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { systemErrorCode } from '../guard/errors.ts';
import type { Vault, VaultEntry } from '../guard/tls/vault.ts';
import { dataUnavailable } from './dataFolder.ts';

/**
 * Private keys in the data folder, one file each that its owner alone may read.
 *
 * @param folder an existing data folder.
 */
export function createVaultFiles(folder: string): Vault {
  const own = join(folder, 'tls');
  const path = (entry: VaultEntry): string => join(own, `${entry}.json`);
  return {
    read: (entry) =>
      readFile(path(entry), 'utf8').catch((error: unknown) => {
        if (systemErrorCode(error) === 'ENOENT') return undefined;
        throw dataUnavailable(path(entry), error);
      }),
    write: async (entry, text) => {
      try {
        await mkdir(own, { recursive: true, mode: 0o700 });
        await writeFileAtomic(path(entry), text, { mode: 0o600 });
      } catch (error) {
        throw dataUnavailable(path(entry), error);
      }
    },
  };
}
