import { type Disposable, l10n } from 'vscode';
import type { GuardService } from '../guardService.ts';
import { views } from '../ids.ts';
import type { UpstreamWatch } from '../upstreamWatch.ts';
import { activityRows } from './activity.ts';
import { endpointRows } from './endpoint.ts';
import { joinedRows } from './joined.ts';
import { RowsView } from './rows.ts';
import { userRows } from './users.ts';

/** Ages go on while nothing else changes: of requests and of a countdown, and of last uses; in milliseconds. */
const tickMs = 1_000;
const slowTickMs = 30_000;

/** Registers the views of the side bar. What nobody looks at is neither asked for nor drawn. */
export function registerViews(guard: GuardService, upstream: UpstreamWatch): Disposable[] {
  let ticker: NodeJS.Timeout | undefined;
  let slowTicker: NodeJS.Timeout | undefined;
  const onVisible = () => {
    const watching = endpoint.visible || activity.visible;
    guard.watchActivity(watching);
    upstream.watch(endpoint.visible);
    clearInterval(ticker);
    clearInterval(slowTicker);
    if (watching) ticker = setInterval(tick, tickMs);
    if (users.visible) slowTicker = setInterval(() => users.refresh(), slowTickMs);
  };
  const tick = () => {
    if (guard.activity.active.length > 0) activity.refresh();
    if (guard.endpoint?.sharing?.until !== undefined) endpoint.refresh();
  };
  const endpoint: RowsView = new RowsView(
    views.endpoint,
    () =>
      endpointRows({
        state: guard.state,
        answers: upstream.answers,
        activity: guard.activity,
        storage: guard.storage,
        now: Date.now(),
      }),
    onVisible,
  );
  const users: RowsView = new RowsView(
    views.users,
    () => userRows({ users: guard.users, lastUsed: guard.lastUsed, now: Date.now() }),
    onVisible,
  );
  const activity: RowsView = new RowsView(views.activity, () => activityRows(guard.activity, Date.now()), onVisible);
  const joined = new RowsView(
    views.joined,
    () => joinedRows(guard.joined),
    () => undefined,
  );
  onVisible();
  return [
    endpoint,
    users,
    activity,
    joined,
    guard.onDidChange(({ state, users: changed, lastUsed, storage, joined: changedJoined }) => {
      if (changedJoined !== undefined) joined.refresh();
      if (state !== undefined || storage !== undefined) endpoint.refresh();
      if (changed !== undefined || lastUsed !== undefined) users.refresh();
      const active = guard.endpoint?.counts.active ?? 0;
      endpoint.badge = { value: active, tooltip: l10n.t('Requests under way: {0}', active) };
    }),
    guard.onDidChangeActivity(() => {
      endpoint.refresh();
      activity.refresh();
    }),
    upstream.onDidChange(() => endpoint.refresh()),
    {
      dispose: () => {
        clearInterval(ticker);
        clearInterval(slowTicker);
      },
    },
  ];
}
