import { env, l10n, window } from 'vscode';
import { GuardError } from '../../guard/errors.ts';
import { readAuthorityCertificate } from '../../guard/tls/authorityRecord.ts';
import type { TrustAnchor } from '../../guard/tls/certificate.ts';
import { readGuardConfig } from '../settings.ts';
import type { CommandContext } from './context.ts';

/** Copies the certificate that teammates have to trust, and shows what to compare it by. */
export async function copyCaCertificate(context: CommandContext): Promise<void> {
  const anchor = await findAnchor(context);
  if (anchor === undefined) return;
  await env.clipboard.writeText(anchor.pem);
  const copyFingerprint = l10n.t('Copy Fingerprint');
  const message = l10n.t('Copied the CA certificate. Its SHA-256 fingerprint is {0}.', anchor.sha256);
  const choice = await window.showInformationMessage(message, copyFingerprint);
  if (choice === copyFingerprint) await env.clipboard.writeText(anchor.sha256);
}

/**
 * The certificate of the running endpoint, else the one of this installation. Undefined when none is needed, which is
 * said.
 *
 * @throws GuardError `certificate-unavailable`, `config-invalid`, `data-unavailable`, `data-damaged`.
 */
async function findAnchor({ guard, vault }: CommandContext): Promise<TrustAnchor | undefined> {
  const { mode } = readGuardConfig().tls;
  const tls = guard.endpoint?.tls;
  if (tls?.anchor !== undefined) return tls.anchor;
  if (mode === 'off') {
    void window.showInformationMessage(l10n.t('Encryption is switched off, so there is no certificate to trust.'));
    return undefined;
  }
  if (tls !== undefined) {
    void window.showInformationMessage(l10n.t('Every computer trusts the certificate already.'));
    return undefined;
  }
  const authority = mode === 'auto' ? await readAuthorityCertificate(vault) : undefined;
  if (authority !== undefined) return authority;
  throw new GuardError(
    'certificate-unavailable',
    'There is no certificate yet: it is made when Ollama Guard is shared for the first time.',
  );
}
