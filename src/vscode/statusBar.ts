import { type Disposable, l10n, MarkdownString, StatusBarAlignment, ThemeColor, window } from 'vscode';
import { isLoopback } from '../guard/config.ts';
import type { GuardState } from '../guard/state.ts';
import { commands, statusItemId } from './ids.ts';

/** What the status bar shows of a state. */
export interface StatusView {
  readonly text: string;
  /** One paragraph a line. */
  readonly tooltip: readonly string[];
  readonly background?: 'error' | 'warning';
}

/** Whether a running guard can be reached by others while nothing encrypts what they send. */
export function isExposed(url: string): boolean {
  const { hostname, protocol } = new URL(url);
  return protocol === 'http:' && !isLoopback(hostname.replace(/^\[|\]$/g, ''));
}

/** The status bar as a function of the state. */
export function renderStatus(state: GuardState): StatusView {
  const name = 'Ollama Guard';
  switch (state.status) {
    case 'stopped':
      return { text: `$(shield) ${name}`, tooltip: [l10n.t('Ollama Guard is stopped. Click to start it.')] };
    case 'starting':
      return { text: `$(loading~spin) ${name}`, tooltip: [l10n.t('Ollama Guard is starting.')] };
    case 'stopping':
      return { text: `$(loading~spin) ${name}`, tooltip: [l10n.t('Ollama Guard is stopping.')] };
    case 'failed':
      return {
        text: `$(error) ${name}`,
        tooltip: [l10n.t('Ollama Guard failed: {0}', state.message), l10n.t('Click to start it again.')],
        background: 'error',
      };
    case 'running': {
      const { url, upstream, users, counts } = state;
      const exposed = isExposed(url);
      const { port } = new URL(url);
      return {
        text: `${exposed ? '$(warning)' : '$(pass-filled)'} ${name} :${port}`,
        tooltip: [
          l10n.t('Ollama Guard is running at {0}', url),
          l10n.t('in front of {0}', upstream),
          `${users === 1 ? l10n.t('1 user') : l10n.t('{0} users', users)}, ${
            counts.served === 1 ? l10n.t('1 request served') : l10n.t('{0} requests served', counts.served)
          }.`,
          ...(exposed ? [l10n.t('Others can reach it, and nothing encrypts what they send.')] : []),
          l10n.t('Click to stop it.'),
        ],
        ...(exposed && { background: 'warning' as const }),
      };
    }
  }
}

/** The status bar item; a click toggles the guard. */
export class StatusBar implements Disposable {
  readonly #item = window.createStatusBarItem(statusItemId, StatusBarAlignment.Left);

  constructor(state: GuardState) {
    this.#item.name = 'Ollama Guard';
    this.#item.command = commands.toggle;
    this.update(state);
    this.#item.show();
  }

  update(state: GuardState): void {
    const { text, tooltip, background } = renderStatus(state);
    this.#item.text = text;
    this.#item.tooltip = new MarkdownString(
      tooltip.map((line) => new MarkdownString().appendText(line).value).join('\n\n'),
    );
    this.#item.accessibilityInformation = { label: tooltip.join(' ') };
    this.#item.backgroundColor =
      background === undefined ? undefined : new ThemeColor(`statusBarItem.${background}Background`);
  }

  dispose(): void {
    this.#item.dispose();
  }
}
