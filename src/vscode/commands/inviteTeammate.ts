import { type Disposable, env, l10n, window } from 'vscode';
import { createInvite, findInvite } from '../../guard/identity/invite.ts';
import { createUser, findUser, type InviteRecord, type User, whyBarred } from '../../guard/identity/users.ts';
import { parseDuration } from '../../guard/share/duration.ts';
import { editorLink, type Invite, pageLink } from '../../guard/share/inviteLink.ts';
import { reachOf } from '../exposure.ts';
import type { GuardService } from '../guardService.ts';
import { InvitePanel } from '../invitePanel.ts';
import { moment } from '../words.ts';
import { askNewName, askRole } from './addUser.ts';
import type { CommandContext } from './context.ts';
import { multiStep, type Step } from './multiStep.ts';
import { startSharing } from './startSharing.ts';
import { teammateAccess, teammateUrls } from './teammateUrl.ts';

/** A QR code of more addresses is too fine for a phone; its page has the first one to itself. */
const maxQrAddresses = 2;

/** A link holds so many addresses at most. */
const maxAddresses = 16;

interface Choices {
  /** Somebody who is there, or who is to be made. */
  whom?: User | { readonly name: string; readonly role: string };
  accessMs?: number | undefined;
}

/** Makes an invite for a user, new or not, and a link of it to send. What the link is exchanged for nobody else sees. */
export async function inviteTeammate(context: CommandContext, name?: string): Promise<void> {
  const { guard, extensionId } = context;
  const title = l10n.t('Invite Teammate');
  const choices: Choices = name === undefined ? {} : { whom: findUser(guard.users, name) };
  const steps = [...(name === undefined ? [whomStep(choices, guard, title)] : []), accessStep(choices)];
  if (!(await multiStep(title, steps)) || choices.whom === undefined) return;

  const user = await share(context, choices.whom);
  if (user === undefined) return;
  const { record, code } = createInvite(choices.accessMs);
  const { trust } = teammateAccess(guard.endpoint);
  const invite: Invite = {
    addresses: teammateUrls(guard.endpoint).slice(0, maxAddresses),
    ...(trust && { caSha256: trust.sha256 }),
    code,
    user: user.name,
  };
  await guard.edit({ kind: 'add-invite', name: user.name, invite: record });
  await env.clipboard.writeText(pageLink(invite));
  context.done('send');
  await offer(guard, invite, record, editorLink(env.uriScheme, extensionId, invite));
}

function whomStep(choices: Choices, guard: GuardService, title: string): Step {
  const now = Date.now();
  const choose = (user: User) => () => {
    choices.whom = user;
    return true;
  };
  return {
    placeholder: l10n.t('Who is invited?'),
    items: () => [
      {
        label: l10n.t('Somebody new…'),
        iconName: 'person-add',
        choose: async () => {
          const name = await askNewName(guard.users, title);
          const role = name === undefined ? undefined : await askRole(guard, title);
          if (name === undefined || role === undefined) return false;
          choices.whom = { name, role };
          return true;
        },
      },
      ...guard.users
        .filter((user) => whyBarred(user, now) === undefined)
        .map((user) => ({ label: user.name, description: user.role, iconName: 'account', choose: choose(user) })),
    ],
  };
}

function accessStep(choices: Choices): Step {
  const option = (label: string, duration?: string) => ({
    label,
    choose: () => {
      choices.accessMs = duration === undefined ? undefined : parseDuration(duration);
      return true;
    },
  });
  return {
    placeholder: l10n.t('How long may they use it?'),
    items: () => [
      option(l10n.t('For good')),
      option(l10n.t('For 1 day'), '1d'),
      option(l10n.t('For 7 days'), '7d'),
      option(l10n.t('For 30 days'), '30d'),
    ],
  };
}

/**
 * Makes sure that the invited can come in: that they are a user, and that the endpoint is shared with them. Undefined,
 * and all as before, when the owner does not want that.
 */
async function share(context: CommandContext, whom: NonNullable<Choices['whom']>): Promise<User | undefined> {
  const { guard } = context;
  const isNew = !('id' in whom);
  const user = isNew ? createUser(whom.name, whom.role) : whom;
  // Nobody can be reached from beyond this computer while there is no user.
  if (isNew) await guard.edit({ kind: 'add-user', user });
  if (!(await isReached(context))) {
    if (isNew) await guard.edit({ kind: 'remove-user', name: user.name });
    return undefined;
  }
  const sharing = guard.endpoint?.sharing;
  if (sharing?.users !== undefined && !sharing.users.includes(user.id)) {
    const { host, interfaceName, until, users } = sharing;
    await guard.share({
      host,
      ...(interfaceName !== undefined && { interfaceName }),
      ...(until !== undefined && { until }),
      users: [...users, user.id],
    });
  }
  return user;
}

/** Whether others can reach the endpoint; offers to let them. */
async function isReached(context: CommandContext): Promise<boolean> {
  const reached = () => {
    const { endpoint } = context.guard;
    return endpoint !== undefined && reachOf(endpoint) !== 'this-computer';
  };
  if (reached()) return true;
  const start = l10n.t('Start Sharing…');
  const choice = await window.showInformationMessage(
    l10n.t('Nobody can reach your Ollama from another computer yet.'),
    { modal: true, detail: l10n.t('Choose where to share it, and for how long. Then the invite is made.') },
    start,
  );
  if (choice === start) await startSharing(context);
  return reached();
}

/** Tells of the invite, and gives it in every form until it is no longer wanted: its code is kept nowhere. */
async function offer(guard: GuardService, invite: Invite, record: InviteRecord, link: string): Promise<void> {
  const page = pageLink(invite);
  const copyPage = l10n.t('Copy Page Link');
  const copyEditor = l10n.t('Copy VS Code Link');
  const showQr = l10n.t('Show QR Code');
  const until = moment(record.expiresAt);
  const copied = l10n.t('Copied an invite for {0}. Its link works once, until {1}.', invite.user, until);
  for (let message = copied; ; ) {
    const choice = await window.showInformationMessage(message, copyPage, copyEditor, showQr);
    if (choice === undefined) return;
    if (choice === showQr) {
      const short = pageLink({ ...invite, addresses: invite.addresses.slice(0, maxQrAddresses) });
      closeWhenUsed(guard, record.id, new InvitePanel(invite.user, short, until));
      return;
    }
    await env.clipboard.writeText(choice === copyPage ? page : link);
    message =
      choice === copyPage
        ? l10n.t('Copied the page link for {0}. It works once, until {1}.', invite.user, until)
        : l10n.t('Copied the VS Code link for {0}. It works once, until {1}.', invite.user, until);
  }
}

/** What was redeemed, revoked or has run out is of no more use on the screen. */
function closeWhenUsed(guard: GuardService, inviteId: string, panel: InvitePanel): void {
  const watch: Disposable = guard.onDidChange(({ users }) => {
    if (users !== undefined && findInvite(users, inviteId) === undefined) panel.dispose();
  });
  panel.onDidDispose(() => watch.dispose());
}
