import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { GuardError, systemErrorCode } from '../guard/errors.ts';

/** Where data lies by the platform's convention. */
export function defaultDataFolder(
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
  home: string = homedir(),
): string {
  if (platform === 'win32') return join(env.LOCALAPPDATA ?? join(home, 'AppData', 'Local'), 'ollama-guard');
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'ollama-guard');
  return join(env.XDG_DATA_HOME || join(home, '.local', 'share'), 'ollama-guard');
}

/**
 * Makes sure of the data folder, for its owner alone.
 *
 * @returns its absolute path.
 * @throws GuardError `data-unavailable`.
 */
export async function openDataFolder(folder: string): Promise<string> {
  const path = resolve(folder);
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw dataUnavailable(path, error);
  });
  return path;
}

/** The sentence for a folder or file that the system will not read or write. */
export function dataUnavailable(path: string, error: unknown): GuardError {
  const code = systemErrorCode(error) ?? String(error);
  return new GuardError('data-unavailable', `${path} cannot be used (${code}). Choose another folder with --data.`, {
    cause: error,
  });
}
