import { env, l10n, window } from 'vscode';
import { modelNames } from '../../guard/forward/probe.ts';
import { type Client, clients } from '../../guard/share/clients.ts';
import { defaultShell } from '../../guard/share/shell.ts';
import { readGuardConfig } from '../settings.ts';
import { askShell, askUser, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';
import { makeApiKey } from './createApiKey.ts';
import { teammateAccess } from './teammateUrl.ts';

/** Ollama is asked for its models for this long, in milliseconds. */
const patienceMs = 2_000;

/** Stands where no model is installed yet. */
const anyModel = 'llama3.2';

/** Copies what a client needs, in the form that works there; where it takes an API key, with a new one of its name. */
export async function copyForClient(context: CommandContext, name?: string): Promise<void> {
  const { guard } = context;
  const title = l10n.t('Copy for Client');
  const user = await askUser(guard.users, title, name);
  if (user === undefined) return;
  const access = teammateAccess(guard.endpoint);
  const client = await askClient(title, user.name);
  if (client === undefined) return;
  const shell = client.usesShell ? await askShell(title) : defaultShell(process.platform);
  if (shell === undefined) return;

  const [model = anyModel] = await modelNames(guard.endpoint?.upstream ?? readGuardConfig().upstream, patienceMs);
  const apiKey = client.keyLabel === undefined ? '' : await makeApiKey(guard, user.name, client.keyLabel);
  await env.clipboard.writeText(client.render({ ...access, user: user.name, apiKey, model, shell }));
  context.done('send');
  await sayCopied(context, client, user.name);
}

/** The clients that are called by a word and not by a name of their own. */
function nameOf({ id, name }: Client): string {
  return id === 'environment' ? l10n.t('Environment variables') : name;
}

async function askClient(title: string, name: string): Promise<Client | undefined> {
  const items = clients.map((client) => ({
    label: nameOf(client),
    ...(client.note !== undefined && { detail: l10n.t(client.note) }),
    client,
  }));
  const placeHolder = l10n.t('What will {0} use?', name);
  return (await window.showQuickPick(items, { title, placeHolder, matchOnDetail: true, ...staysOpen }))?.client;
}

async function sayCopied({ guard, openDocs }: CommandContext, client: Client, name: string): Promise<void> {
  const { keyLabel } = client;
  const done =
    keyLabel === undefined
      ? l10n.t('Copied what {0} needs for {1}. Add the public key that {0} sends you.', name, nameOf(client))
      : l10n.t(
          'Copied what {0} needs for {1}, with a new API key {2} in it. Revoke it any time.',
          name,
          nameOf(client),
          JSON.stringify(keyLabel),
        );
  const message = guard.endpoint === undefined ? `${done} ${l10n.t('It works once Ollama Guard is started.')}` : done;
  const help = l10n.t('Help');
  if ((await window.showInformationMessage(message, help)) === help) await openDocs('clients', client.name);
}
