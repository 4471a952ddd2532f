import { hostname } from 'node:os';
import type { Vault } from '../guard/tls/vault.ts';
import type { Terminal } from './terminal.ts';

/**
 * `ollama-guard ca`: the certificate of this installation's authority. Makes the authority when there is none, so that
 * it can be handed out before the first start.
 *
 * @param allowedHosts names that a new authority may vouch for, beside those of this computer.
 * @throws GuardError `data-damaged`, `data-unavailable`.
 */
export async function printAuthority(
  terminal: Terminal,
  vault: Vault,
  allowedHosts: readonly string[],
  fingerprintAlone: boolean,
): Promise<void> {
  // Making certificates takes more code than the rest of the command line.
  const { loadAuthority } = await import('../guard/tls/authority.ts');
  const { anchor } = await loadAuthority(vault, { hostName: hostname(), allowedHosts, now: Date.now() });
  if (fingerprintAlone) {
    terminal.out(anchor.sha256);
    return;
  }
  terminal.say(`SHA-256: ${anchor.sha256}`);
  terminal.out(anchor.pem.trimEnd());
}
