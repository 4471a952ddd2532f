import { l10n } from 'vscode';
import { endpointAddresses } from '../../guard/share/addresses.ts';
import type { Sharing } from '../../guard/share/sharing.ts';
import type { Endpoint, GuardState } from '../../guard/state.ts';
import type { EndpointTls } from '../../guard/tls/certificate.ts';
import type { Activity, ConnectedUser } from '../../guard/usage/activity.ts';
import { type Reach, reachOf } from '../exposure.ts';
import { counted, day, inWords, moment, span } from '../words.ts';
import type { Row } from './rows.ts';

/** What the Endpoint view shows. */
export interface EndpointFacts {
  readonly state: GuardState;
  /** Undefined until Ollama was asked. */
  readonly answers: boolean | undefined;
  readonly activity: Activity;
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
        ...addresses(state),
        ...encryption(state),
        upstream(state.upstream, facts.answers),
        ...(facts.storage === 'memory' ? [memoryOnly()] : []),
        ...queue(facts.activity),
        connected(facts.activity.connected),
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

/** Where others reach it, each address with its network interface; no row while nobody else does. */
function addresses(endpoint: Endpoint): readonly Row[] {
  if (reachOf(endpoint) === 'this-computer') return [];
  const { url, sharing } = endpoint;
  const all = endpointAddresses(sharing === undefined || sharing.paused ? url : sharing.url);
  const label = l10n.t('Addresses');
  return [
    {
      id: 'addresses',
      label,
      description: counted(all.length, l10n.t('1 address'), (count) => l10n.t('{0} addresses', count)),
      tooltip: all.map((address) => address.url),
      icon: 'globe',
      context: 'endpoint.addresses',
      children: all.map(({ interfaceName, url: target }) => ({
        id: `address ${target}`,
        label: target,
        description: interfaceName,
        tooltip: [target, interfaceName],
        icon: 'link',
        context: 'endpoint.address',
        target,
      })),
    },
  ];
}

/** Whether what others send is encrypted, and what stands in the way of going on with that. */
function encryption(endpoint: Endpoint): readonly Row[] {
  const reach = reachOf(endpoint);
  const { tls } = endpoint;
  const context = tls?.anchor === undefined ? 'endpoint.encryption' : 'endpoint.encryption.on';
  const row = { id: 'encryption', context, ...encryptionWords(reach, tls) };
  if (reach !== 'encrypted' || tls?.problem === undefined) return [row];
  const problem = inWords(tls.problem);
  return [
    row,
    {
      id: 'certificate',
      label: l10n.t('Certificate'),
      description: problem,
      tooltip: [problem, l10n.t('The certificate before it is used until {0}.', moment(tls.expiresAt))],
      icon: 'warning',
      color: 'list.warningForeground',
      context: 'endpoint.certificate',
    },
  ];
}

type EncryptionWords = Pick<Row, 'label' | 'description' | 'tooltip' | 'icon' | 'color'>;

function encryptionWords(reach: Reach, tls: EndpointTls | undefined): EncryptionWords {
  switch (reach) {
    case 'this-computer':
      return {
        label: l10n.t('This computer alone'),
        tooltip: [l10n.t('Only programs on this computer reach it, so nothing has to be encrypted.')],
        icon: 'lock',
      };
    case 'in-the-clear':
      return {
        label: l10n.t('Not encrypted'),
        description: l10n.t('others can read along'),
        tooltip: [l10n.t('Others can reach it, and nothing encrypts what they send.')],
        icon: 'unlock',
        color: 'list.warningForeground',
      };
    case 'encrypted':
      return {
        label: l10n.t('Encrypted'),
        ...(tls && { description: l10n.t('{0}, until {1}', tls.mode, day(tls.expiresAt)) }),
        tooltip: [
          l10n.t('What others send is encrypted.'),
          ...(tls?.anchor === undefined
            ? []
            : [l10n.t('SHA-256 fingerprint of the CA certificate: {0}', tls.anchor.sha256)]),
        ],
        icon: 'lock',
      };
  }
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

/** Who waits for their turn at Ollama; no row while nobody does. */
function queue({ active }: Activity): readonly Row[] {
  const waiting = active.filter((request) => request.waiting !== undefined);
  if (waiting.length === 0) return [];
  const byUser = new Map<string, number>();
  for (const { user } of waiting) byUser.set(user, (byUser.get(user) ?? 0) + 1);
  return [
    {
      id: 'queue',
      label: l10n.t('Queue'),
      description: l10n.t('{0} at work, {1} waiting', active.length - waiting.length, waiting.length),
      tooltip: [
        l10n.t('Ollama is busy. Users take turns.'),
        ...[...byUser].map(([user, count]) => l10n.t('{0}: {1} waiting', user, count)),
      ],
      icon: 'list-ordered',
      context: 'endpoint.queue',
    },
  ];
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
