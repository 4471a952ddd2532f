import { networkInterfaces } from 'node:os';
import { l10n, type QuickPickItem, window } from 'vscode';
import type { GuardService } from '../guardService.ts';
import { readGuardConfig } from '../settings.ts';
import { moment } from '../words.ts';
import { sayNoUser, staysOpen } from './ask.ts';
import type { CommandContext } from './context.ts';
import { multiStep, type Step } from './multiStep.ts';

interface Choices {
  host?: string;
  interfaceName?: string;
  until?: number | undefined;
  users?: readonly string[] | undefined;
}

/** Shares the endpoint on purpose: on which address, until when, for whom. */
export async function startSharing({ guard }: CommandContext): Promise<void> {
  if (guard.users.length === 0) {
    sayNoUser();
    return;
  }
  const choices: Choices = {};
  const title = l10n.t('Start Sharing');
  const done = await multiStep(title, [
    addressStep(choices),
    untilStep(choices, new Date()),
    usersStep(choices, guard),
  ]);
  const { host, interfaceName, until, users } = choices;
  if (!done || host === undefined) return;
  await guard.share({
    host,
    ...(interfaceName !== undefined && { interfaceName }),
    ...(until !== undefined && { until }),
    ...(users && { users }),
  });
  const sharing = guard.endpoint?.sharing;
  if (sharing === undefined) return;
  const end = until === undefined ? l10n.t('until it is stopped') : l10n.t('until {0}', moment(until));
  void window.showInformationMessage(l10n.t('Shared at {0}, {1}.', sharing.url, end));
}

/** Addresses of this computer, each with its interface; loopback first. Link-local ones cannot be written in a URL. */
function shareAddresses(): readonly { readonly name: string; readonly address: string; readonly internal: boolean }[] {
  const all = Object.entries(networkInterfaces()).flatMap(([name, entries = []]) =>
    entries.map(({ address, internal, family }) => ({ name, address, internal, family })),
  );
  const usable = all.filter(
    ({ address, internal }) => !address.startsWith('fe80') && (!internal || address === '127.0.0.1'),
  );
  return usable.sort((a, b) => Number(b.internal) - Number(a.internal) || a.family.localeCompare(b.family));
}

function addressStep(choices: Choices): Step {
  const encrypts = readGuardConfig().tls.mode !== 'off';
  return {
    placeholder: l10n.t('On which address?'),
    items: () =>
      shareAddresses().map(({ name, address, internal }) => ({
        label: internal ? l10n.t('This computer alone') : name,
        description: address,
        detail: internal
          ? l10n.t('For a tunnel, or for other programs here')
          : encrypts
            ? l10n.t('Everybody on this network can reach it; everything is encrypted')
            : l10n.t('Everybody on this network can reach it; nothing is encrypted'),
        iconName: internal ? 'lock' : 'globe',
        choose: () => {
          choices.host = address;
          if (internal) delete choices.interfaceName;
          else choices.interfaceName = name;
          return true;
        },
      })),
  };
}

function untilStep(choices: Choices, now: Date): Step {
  const inOneHour = now.getTime() + 3_600_000;
  const midnight = new Date(now);
  midnight.setHours(24, 0, 0, 0);
  const option = (label: string, until: number | undefined) => ({
    label,
    ...(until !== undefined && { description: moment(until) }),
    choose: () => {
      choices.until = until;
      return true;
    },
  });
  return {
    placeholder: l10n.t('Until when?'),
    items: () => [
      option(l10n.t('For 1 hour'), inOneHour),
      option(l10n.t('Today'), midnight.getTime()),
      option(l10n.t('Until stopped'), undefined),
    ],
  };
}

function usersStep(choices: Choices, guard: GuardService): Step {
  return {
    placeholder: l10n.t('For whom?'),
    items: () => [
      {
        label: l10n.t('Every user'),
        description: guard.users.map(({ name }) => name).join(', '),
        choose: () => {
          choices.users = undefined;
          return true;
        },
      },
      {
        label: l10n.t('Some users…'),
        choose: async () => {
          const items: (QuickPickItem & { id: string })[] = guard.users.map(({ id, name, role }) => ({
            label: name,
            description: role,
            id,
          }));
          const picked = await window.showQuickPick(items, {
            title: l10n.t('Start Sharing'),
            placeHolder: l10n.t('For whom?'),
            canPickMany: true,
            ...staysOpen,
          });
          if (picked === undefined || picked.length === 0) return false;
          choices.users = picked.map(({ id }) => id);
          return true;
        },
      },
    ],
  };
}
