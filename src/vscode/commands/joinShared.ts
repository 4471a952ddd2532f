import { env, l10n, ProgressLocation, window } from 'vscode';
import { type Invite, parseInviteLink } from '../../guard/share/inviteLink.ts';
import { errorWords } from '../words.ts';
import type { CommandContext } from './context.ts';

/**
 * Joins an endpoint that somebody shares, by the link of an invite. Never without asking: any web page can open a link
 * into VS Code.
 *
 * @param link asked for when left out.
 */
export async function joinShared({ guard }: CommandContext, link?: string): Promise<void> {
  const given = link ?? (await askLink());
  if (given === undefined || given === '') return;
  const invite = parseInviteLink(given);
  if (!(await confirm(invite))) return;

  const before = new Set(guard.joined.map(({ id }) => id));
  const cancelled = new AbortController();
  const { addresses } = invite;
  await window.withProgress(
    {
      location: ProgressLocation.Notification,
      title: l10n.t('Joining the Ollama at {0}', hostOf(addresses[0] ?? '')),
      cancellable: true,
    },
    async (_progress, token) => {
      token.onCancellationRequested(() => cancelled.abort());
      await guard.join(given, cancelled.signal).catch((error: unknown) => {
        if (!cancelled.signal.aborted) throw error;
      });
    },
  );
  const url = guard.joined.find(({ id }) => !before.has(id))?.url;
  if (url === undefined) return;
  const copy = l10n.t('Copy Address');
  // Not waited for: the command is over.
  void window
    .showInformationMessage(l10n.t('Joined. Every program on this computer finds that Ollama at {0}.', url), copy)
    .then((choice) => (choice === copy ? env.clipboard.writeText(url) : undefined));
}

function askLink(): Thenable<string | undefined> {
  return window.showInputBox({
    title: l10n.t('Join a Shared Ollama'),
    prompt: l10n.t('The link of the invite that you were sent'),
    ignoreFocusOut: true,
    validateInput: (value) => (value === '' ? undefined : problemOf(value)),
  });
}

function problemOf(link: string): string | undefined {
  try {
    parseInviteLink(link);
    return undefined;
  } catch (error) {
    return errorWords(error) ?? String(error);
  }
}

/** Shows who invites where, with what to compare, and asks whether to go there. */
async function confirm({ addresses, caSha256, user }: Invite): Promise<boolean> {
  const inTheClear = addresses.filter((address) => address.startsWith('http:'));
  const join = l10n.t('Join');
  const detail = [
    l10n.t('You will be known there as {0}.', user),
    l10n.t('What you send to Ollama goes to the owner of that computer. Join only if you expected this invite.'),
    ...(inTheClear.length > 0
      ? [l10n.t('Nothing is encrypted on the way to {0}: others can read along.', inTheClear.map(hostOf).join(', '))]
      : []),
    `${l10n.t('Addresses')}: ${addresses.map(hostOf).join(', ')}`,
    ...(caSha256 === undefined ? [] : [`${l10n.t('Fingerprint of its certificate')}: ${caSha256}`]),
  ].join('\n\n');
  const question = l10n.t('Join the Ollama at {0}?', hostOf(addresses[0] ?? ''));
  const ask = inTheClear.length > 0 ? window.showWarningMessage : window.showInformationMessage;
  return (await ask(question, { modal: true, detail }, join)) === join;
}

function hostOf(address: string): string {
  return new URL(address).host;
}
