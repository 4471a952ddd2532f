import { type Disposable, l10n, MarkdownString, StatusBarAlignment, ThemeColor, window } from 'vscode';
import type { Endpoint, GuardState } from '../guard/state.ts';
import { reachOf } from './exposure.ts';
import { type CommandId, commands, statusItemId } from './ids.ts';
import { remaining } from './views/endpoint.ts';
import { counted, inWords } from './words.ts';

/** A command that the tooltip leads to, with its words. */
interface Link {
  readonly command: CommandId;
  readonly label: string;
}

/** What the status bar shows of a state. */
interface StatusView {
  readonly text: string;
  /** One paragraph a line. */
  readonly tooltip: readonly string[];
  readonly links?: readonly Link[];
  readonly background?: 'error' | 'warning';
}

/** The countdown of sharing is drawn anew this often, in milliseconds; in its last minute every second. */
const countdownMs = 15_000;
const lastMinuteMs = 60_000;

/** The status bar as a function of state and time. */
function renderStatus(state: GuardState, now: number): StatusView {
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
        tooltip: [l10n.t('Ollama Guard failed: {0}', inWords(state.message)), l10n.t('Click to start it again.')],
        background: 'error',
      };
    case 'running':
    case 'following':
      return renderEndpoint(name, state, now);
  }
}

function renderEndpoint(name: string, state: GuardState & Endpoint, now: number): StatusView {
  const { url, upstream, users, counts, sharing } = state;
  const reach = reachOf(state);
  const exposed = reach === 'in-the-clear';
  const { port } = new URL(url);
  const icon = exposed ? '$(warning)' : sharing === undefined ? '$(pass-filled)' : '$(broadcast)';
  const countdown = sharing === undefined ? '' : ` (${remaining(sharing, now)})`;
  return {
    text: `${icon} ${name} :${port}${countdown}`,
    tooltip: [
      l10n.t('Ollama Guard is running at {0}', url),
      ...(state.status === 'following' ? [l10n.t('Another window runs it.')] : []),
      l10n.t('in front of {0}', upstream),
      ...(sharing === undefined ? [] : [`${l10n.t('Shared at {0}', sharing.url)}, ${remaining(sharing, now)}.`]),
      `${counted(users, l10n.t('1 user'), (count) => l10n.t('{0} users', count))}, ${counted(
        counts.served,
        l10n.t('1 request served'),
        (count) => l10n.t('{0} requests served', count),
      )}.`,
      ...(exposed ? [l10n.t('Others can reach it, and nothing encrypts what they send.')] : []),
      ...(reach === 'encrypted' ? [l10n.t('What others send is encrypted.')] : []),
      l10n.t('Click to stop it.'),
    ],
    links: sharing === undefined ? [] : sharingLinks(sharing.paused),
    ...(exposed && { background: 'warning' as const }),
  };
}

function sharingLinks(paused: boolean): readonly Link[] {
  return [
    paused
      ? { command: commands.resumeSharing, label: l10n.t('Resume Sharing') }
      : { command: commands.pauseSharing, label: l10n.t('Pause Sharing') },
    { command: commands.stopSharing, label: l10n.t('Stop Sharing') },
  ];
}

/** The status bar item; a click toggles the guard. */
export class StatusBar implements Disposable {
  readonly #item = window.createStatusBarItem(statusItemId, StatusBarAlignment.Left);
  #state: GuardState;
  #countdown: NodeJS.Timeout | undefined;

  constructor(state: GuardState) {
    this.#state = state;
    this.#item.name = 'Ollama Guard';
    this.#item.command = commands.toggle;
    this.#draw();
    this.#item.show();
  }

  update(state: GuardState): void {
    this.#state = state;
    this.#draw();
  }

  #draw(): void {
    const now = Date.now();
    const { text, tooltip, links = [], background } = renderStatus(this.#state, now);
    const lines = tooltip.map((line) => new MarkdownString().appendText(line).value);
    if (links.length > 0) lines.push(links.map(({ command, label }) => `[${label}](command:${command})`).join(' · '));
    const markdown = new MarkdownString(lines.join('\n\n'));
    markdown.isTrusted = { enabledCommands: links.map(({ command }) => command) };
    this.#item.text = text;
    this.#item.tooltip = markdown;
    this.#item.accessibilityInformation = { label: tooltip.join(' ') };
    this.#item.backgroundColor =
      background === undefined ? undefined : new ThemeColor(`statusBarItem.${background}Background`);
    this.#drawAgain(now);
  }

  #drawAgain(now: number): void {
    clearTimeout(this.#countdown);
    const sharing = 'sharing' in this.#state ? this.#state.sharing : undefined;
    if (sharing?.until === undefined || sharing.paused || sharing.until <= now) return;
    const waitMs = sharing.until - now > lastMinuteMs ? countdownMs : 1_000;
    this.#countdown = setTimeout(() => this.#draw(), waitMs);
  }

  dispose(): void {
    clearTimeout(this.#countdown);
    this.#item.dispose();
  }
}
