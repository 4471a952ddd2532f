import { l10n } from 'vscode';
import type { Sharing } from '../../guard/share/sharing.ts';
import type { Endpoint, GuardState } from '../../guard/state.ts';
import type { ConnectedUser } from '../../guard/usage/activity.ts';
import { isExposed } from '../exposure.ts';
import { counted, inWords, moment, span } from '../words.ts';
import type { Row } from './rows.ts';

/** What the Endpoint view shows. */
export interface EndpointFacts {
  readonly state: GuardState;
  /** Undefined until Ollama was asked. */
  readonly answers: boolean | undefined;
  readonly connected: readonly ConnectedUser[];
  readonly storage: 'kept' | 'memory';
  readonly now: number;
}

/** The rows of the Endpoint view; none while the guard is stopped, for the welcome to show. */
export function endpointRows(facts: EndpointFacts): readonly Row[] {
  const { state } = facts;
  switch (state.status) {
    case 'stopped':
      return [];
    case 'starting':
      return [step('starting', l10n.t('Starting'))];
    case 'stopping':
      return [step('stopping', l10n.t('Stopping'))];
    case 'failed': {
      const message = inWords(state.message);
      return [
        {
          id: 'failed',
          label: l10n.t('Failed'),
          description: message,
          tooltip: [message],
          icon: 'error',
          color: 'list.errorForeground',
          context: state.code === 'address-in-use' ? 'endpoint.failed.portInUse' : 'endpoint.failed',
        },
      ];
    }
    case 'running':
    case 'following':
      return [
        listening(state),
        ...(state.sharing === undefined ? [] : [shared(state.sharing, facts.now)]),
        encryption(state),
        upstream(state.upstream, facts.answers),
        ...(facts.storage === 'memory' ? [memoryOnly()] : []),
        connected(facts.connected),
      ];
  }
}

function step(id: string, label: string): Row {
  return { id, label, tooltip: [label], icon: 'loading~spin', context: `endpoint.${id}` };
}

function listening({ status, url }: GuardState & Endpoint): Row {
  const elsewhere = status === 'following';
  return {
    id: 'listening',
    label: l10n.t('Running'),
    description: elsewhere ? l10n.t('{0}, in another window', url) : url,
    tooltip: [
      l10n.t('Ollama Guard is running at {0}', url),
      ...(elsewhere ? [l10n.t('Another window runs it. When that one closes, this one goes on.')] : []),
    ],
    icon: 'pass-filled',
    color: 'testing.iconPassed',
    context: 'endpoint.running',
    target: url,
  };
}

/** How much longer sharing goes on, in words. */
export function remaining({ paused, until }: Sharing, now: number): string {
  if (paused) return l10n.t('paused');
  return until === undefined ? l10n.t('until stopped') : l10n.t('{0} left', span(until - now));
}

function shared(sharing: Sharing, now: number): Row {
  const { url, until, users, paused } = sharing;
  const end = until === undefined ? [] : [l10n.t('It ends {0}.', moment(until))];
  return {
    id: 'shared',
    label: l10n.t('Shared'),
    description: `${remaining(sharing, now)}, ${url}`,
    tooltip: [
      l10n.t('Shared at {0}', url),
      users === undefined
        ? l10n.t('With every user.')
        : counted(users.length, l10n.t('With one user.'), (count) => l10n.t('With {0} users.', count)),
      ...end,
    ],
    icon: paused ? 'debug-pause' : 'broadcast',
    context: paused ? 'endpoint.sharing.paused' : 'endpoint.sharing.active',
    target: url,
  };
}

function encryption(endpoint: Endpoint): Row {
  const exposed = isExposed(endpoint);
  const label = exposed ? l10n.t('Not encrypted') : l10n.t('This computer alone');
  const meaning = exposed
    ? l10n.t('Others can reach it, and nothing encrypts what they send.')
    : l10n.t('Only programs on this computer reach it, so nothing has to be encrypted.');
  return {
    id: 'encryption',
    label,
    ...(exposed && { description: l10n.t('others can read along') }),
    tooltip: [meaning],
    icon: exposed ? 'unlock' : 'lock',
    ...(exposed && { color: 'list.warningForeground' }),
    context: 'endpoint.encryption',
  };
}

function upstream(url: string, answers: boolean | undefined): Row {
  const common = { id: 'upstream', label: 'Ollama', context: 'endpoint.upstream', target: url };
  switch (answers) {
    case undefined:
      return { ...common, description: url, tooltip: [l10n.t('Asking Ollama at {0}', url)], icon: 'loading~spin' };
    case true:
      return { ...common, description: url, tooltip: [l10n.t('Ollama answers at {0}', url)], icon: 'vm-active' };
    case false:
      return {
        ...common,
        description: l10n.t('does not answer at {0}', url),
        tooltip: [l10n.t('Ollama does not answer at {0}. Start it with: ollama serve', url)],
        icon: 'vm-outline',
        color: 'list.warningForeground',
      };
  }
}

function memoryOnly(): Row {
  return {
    id: 'memory',
    label: l10n.t('Secret storage fails'),
    description: l10n.t('users are kept in memory'),
    tooltip: [l10n.t('Changes of users last until the last window closes.')],
    icon: 'warning',
    color: 'list.warningForeground',
    context: 'endpoint.memory',
  };
}

function connected(users: readonly ConnectedUser[]): Row {
  const label = l10n.t('Connected');
  if (users.length === 0) {
    const nobody = l10n.t('nobody');
    return { id: 'connected', label, description: nobody, tooltip: [nobody], icon: 'plug', context: 'endpoint.nobody' };
  }
  const names = new Set(users.map(({ user }) => user));
  return {
    id: 'connected',
    label,
    description: [...names].join(', '),
    tooltip: users.map(({ user, address }) => l10n.t('{0} from {1}', user, address)),
    icon: 'plug',
    context: 'endpoint.connected',
    children: users.map(({ user, address, connections }) => ({
      id: `connected ${user} ${address}`,
      label: user,
      description: `${address}, ${counted(connections, l10n.t('1 connection'), (count) => l10n.t('{0} connections', count))}`,
      tooltip: [l10n.t('{0} from {1}', user, address)],
      icon: 'account',
      context: 'endpoint.person',
    })),
  };
}
