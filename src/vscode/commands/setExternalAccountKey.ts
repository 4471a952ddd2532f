import { l10n, window } from 'vscode';
import type { CommandContext } from './context.ts';

/** Asks for the HMAC key of an external account at an ACME directory, and keeps it secret: RFC 8555 §7.3.4. */
export async function setExternalAccountKey({ vault }: CommandContext): Promise<void> {
  const key = await window.showInputBox({
    title: l10n.t('Set ACME External Account Key'),
    prompt: l10n.t('The HMAC key that the certificate authority gave you, in base64url'),
    password: true,
    ignoreFocusOut: true,
    validateInput: (value) =>
      value === '' || /^[\w-]{16,}$/.test(value)
        ? undefined
        : l10n.t('A key is letters, digits, dashes and underscores.'),
  });
  if (key === undefined || key === '') return;
  await vault.write('acme-external-account', key);
  void window.showInformationMessage(l10n.t('The key is kept in the secret storage of VS Code.'));
}
