import { env, l10n } from 'vscode';
import type { ActiveRequest, Activity, DoneRequest } from '../../guard/usage/activity.ts';
import { counted, duration, moment, span } from '../words.ts';
import type { Row } from './rows.ts';

/** More rows than a person reads; the rest is counted. */
const maxActive = 100;

/** The rows of the Activity view: what is under way on top, what is done below. */
export function activityRows({ active, done }: Activity, now: number): readonly Row[] {
  const more = active.length - maxActive;
  return [
    ...active.slice(0, maxActive).map((request) => activeRow(request, now)),
    ...(more > 0 ? [moreRow(more)] : []),
    ...(done.length > 0 ? [doneRow(done)] : []),
  ];
}

function title({ user, model, path }: ActiveRequest): string {
  return `${user}: ${model || path}`;
}

function tokenWords(tokens: number): string {
  return counted(tokens, l10n.t('1 token'), (count) => l10n.t('{0} tokens', count));
}

function facts({ method, path, address, startedAt }: ActiveRequest): readonly string[] {
  return [`${method} ${path}`, l10n.t('From {0}', address), l10n.t('Began {0}', moment(startedAt))];
}

function activeRow(request: ActiveRequest, now: number): Row {
  const { waiting, startedAt, tokens } = request;
  const state = waiting === undefined ? tokenWords(tokens) : placeWords(waiting);
  return {
    id: `request ${startedAt} ${request.id}`,
    label: title(request),
    description: waiting === undefined ? `${span(now - startedAt)}, ${state}` : `${state}, ${span(now - startedAt)}`,
    tooltip: [title(request), ...facts(request), state],
    icon: waiting === undefined ? 'loading~spin' : 'watch',
    context: 'request.active',
    target: String(request.id),
  };
}

/** A place among those that wait, such as `waits, 3rd in line`. */
function placeWords(place: number): string {
  const digits = place.toLocaleString(env.language);
  switch (new Intl.PluralRules(env.language, { type: 'ordinal' }).select(place)) {
    case 'one':
      return l10n.t('waits, {0}st in line', digits);
    case 'two':
      return l10n.t('waits, {0}nd in line', digits);
    case 'few':
      return l10n.t('waits, {0}rd in line', digits);
    default:
      return l10n.t('waits, {0}th in line', digits);
  }
}

function moreRow(count: number): Row {
  const label = counted(count, l10n.t('1 more'), (more) => l10n.t('{0} more', more));
  return { id: 'more', label, tooltip: [label], icon: 'ellipsis', context: 'request.more' };
}

function doneRow(done: readonly DoneRequest[]): Row {
  const label = l10n.t('Done');
  return {
    id: 'done',
    label,
    description: String(done.length),
    tooltip: [label],
    icon: 'history',
    context: 'request.done.all',
    children: done.map(doneRequestRow),
  };
}

function doneRequestRow(request: DoneRequest): Row {
  const { status, milliseconds, outcome, tokens } = request;
  const words = {
    complete: String(status),
    cut: l10n.t('cut off'),
    stopped: l10n.t('stopped'),
  };
  const good = outcome === 'complete' && status < 400;
  return {
    id: `request ${request.startedAt} ${request.id}`,
    label: title(request),
    description: [words[outcome], duration(milliseconds), ...(tokens > 0 ? [tokenWords(tokens)] : [])].join(', '),
    tooltip: [title(request), ...facts(request), words[outcome], tokenWords(tokens)],
    icon: good ? 'check' : outcome === 'complete' ? 'error' : 'circle-slash',
    context: 'request.done',
  };
}
