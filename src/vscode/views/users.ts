import { l10n } from 'vscode';
import {
  type ApiKeyRecord,
  type InviteRecord,
  isExpired,
  type PublicKeyRecord,
  type User,
  whyBarred,
} from '../../guard/identity/users.ts';
import { limitWords, modelWords } from '../accessWords.ts';
import { ago, moment } from '../words.ts';
import type { Row } from './rows.ts';

/** What the Users view shows. */
export interface UserFacts {
  readonly users: readonly User[];
  readonly lastUsed: Readonly<Record<string, number>>;
  readonly now: number;
}

/** The rows of the Users view: a row a user, and below it a row a key, a public key or an open invite. */
export function userRows({ users, lastUsed, now }: UserFacts): readonly Row[] {
  return users.map((user) => userRow(user, lastUsed, now));
}

function userRow(user: User, lastUsed: UserFacts['lastUsed'], now: number): Row {
  const barred = whyBarred(user, now);
  const marks = { disabled: l10n.t('disabled'), expired: l10n.t('expired') };
  const used = lastUsed[user.id];
  const row: Row = {
    id: user.id,
    label: user.name,
    description: [user.role, barred === undefined ? usedWords(used, now) : marks[barred]].join(', '),
    tooltip: [
      `${user.name}, ${user.role}`,
      ...restrictionWords(user),
      l10n.t('Added {0}', moment(user.createdAt)),
      ...expiryWords(user, now),
      lastUsedWords(used),
      user.passwordHash === undefined ? l10n.t('Has no password.') : l10n.t('Has a password.'),
    ],
    icon: barred === undefined ? 'account' : 'circle-slash',
    ...(barred !== undefined && { color: 'disabledForeground' }),
    context: user.disabled ? 'user.disabled' : 'user.enabled',
    target: user.name,
  };
  const children = [
    ...user.keys.map((key) => keyRow(key, lastUsed, now)),
    ...(user.publicKeys ?? []).map((key) => publicKeyRow(key, lastUsed, now)),
    ...(user.invites ?? []).map((invite) => inviteRow(invite, now)),
  ];
  return children.length === 0 ? row : { ...row, children, collapsed: true };
}

/** What holds for a user beside the role. */
function restrictionWords({ models, limits = {} }: User): readonly string[] {
  return [...(models === undefined ? [] : [l10n.t('Models: {0}', modelWords(models))]), ...limitWords(limits)];
}

function inviteRow(invite: InviteRecord, now: number): Row {
  const { id, createdAt, expiresAt } = invite;
  const expired = isExpired(invite, now);
  return {
    id: `invite ${id}`,
    label: l10n.t('Invite'),
    description: expired ? l10n.t('expired') : l10n.t('open until {0}', moment(expiresAt)),
    tooltip: [
      l10n.t('An invite that nobody has used yet'),
      l10n.t('Made {0}', moment(createdAt)),
      ...expiryWords(invite, now),
    ],
    icon: 'mail',
    ...(expired && { color: 'disabledForeground' }),
    context: 'invite',
    target: id,
  };
}

function keyRow(key: ApiKeyRecord, lastUsed: UserFacts['lastUsed'], now: number): Row {
  const expired = isExpired(key, now);
  const used = lastUsed[key.id];
  return {
    id: key.id,
    label: key.label || key.id,
    description: expired ? l10n.t('expired') : usedWords(used, now),
    tooltip: [
      l10n.t('API key {0}', key.id),
      l10n.t('Made {0}', moment(key.createdAt)),
      ...expiryWords(key, now),
      lastUsedWords(used),
    ],
    icon: 'key',
    ...(expired && { color: 'disabledForeground' }),
    context: 'key',
    target: key.id,
  };
}

function publicKeyRow(key: PublicKeyRecord, lastUsed: UserFacts['lastUsed'], now: number): Row {
  const expired = isExpired(key, now);
  const used = lastUsed[key.id];
  return {
    id: key.id,
    label: key.label || key.id,
    description: [l10n.t('public key'), expired ? l10n.t('expired') : usedWords(used, now)].join(', '),
    tooltip: [
      l10n.t('A public key of the ollama command line'),
      l10n.t('Added {0}', moment(key.createdAt)),
      ...expiryWords(key, now),
      lastUsedWords(used),
    ],
    icon: 'key',
    ...(expired && { color: 'disabledForeground' }),
    context: 'publicKey',
    target: key.id,
  };
}

function usedWords(used: number | undefined, now: number): string {
  return used === undefined ? l10n.t('never used') : l10n.t('used {0}', ago(used, now));
}

function lastUsedWords(used: number | undefined): string {
  return used === undefined ? l10n.t('Never used.') : l10n.t('Last used {0}', moment(used));
}

function expiryWords(record: { readonly expiresAt?: string | undefined }, now: number): readonly string[] {
  const { expiresAt } = record;
  if (expiresAt === undefined) return [];
  return [isExpired(record, now) ? l10n.t('Expired {0}', moment(expiresAt)) : l10n.t('Expires {0}', moment(expiresAt))];
}
