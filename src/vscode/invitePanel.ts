import { randomBytes } from 'node:crypto';
import { renderSVG } from 'uqr';
import { type Disposable, env, l10n, ViewColumn, window } from 'vscode';

/** An invite as a QR code, for phones and across a desk. A page without scripts, gone with its panel. */
export class InvitePanel implements Disposable {
  readonly #panel = window.createWebviewPanel(
    'ollamaGuard.invite',
    l10n.t('Invite'),
    { viewColumn: ViewColumn.Active },
    { enableScripts: false, localResourceRoots: [] },
  );

  /** @param until when the link runs out, in words. */
  constructor(user: string, link: string, until: string) {
    this.#panel.webview.html = invitePage(user, link, until);
  }

  onDidDispose(listener: () => void): void {
    this.#panel.onDidDispose(listener);
  }

  dispose(): void {
    this.#panel.dispose();
  }
}

/** The page. Colours are the theme's; the code itself is dark on light in every theme, as cameras expect it. */
function invitePage(user: string, link: string, until: string): string {
  const nonce = randomBytes(16).toString('base64');
  const title = l10n.t('Invite for {0}', user);
  const code = renderSVG(link, { ecc: 'L', border: 2 });
  return `<!DOCTYPE html>
<html lang="${escaped(env.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'nonce-${nonce}'">
<title>${escaped(title)}</title>
<style nonce="${nonce}">
main { max-width: 36rem; margin: 2rem auto; padding: 0 1rem; font-size: var(--vscode-font-size); }
h1 { font-size: 1.4em; font-weight: 600; }
.code { box-sizing: border-box; width: min(100%, 60vh); background: #fff; padding: 0.5rem; border-radius: 6px; border: 1px solid var(--vscode-contrastBorder, transparent); }
.code svg { display: block; width: 100%; height: auto; }
.link { overflow-wrap: anywhere; user-select: text; font-family: var(--vscode-editor-font-family); color: var(--vscode-descriptionForeground); }
</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
<p>${escaped(l10n.t('Scan it with the camera of a phone. It works once, until {0}.', until))}</p>
<div class="code" role="img" aria-label="${escaped(l10n.t('QR code of the link below'))}">${code}</div>
<p class="link">${escaped(link)}</p>
</main>
</body>
</html>`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
