import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ActiveRequest, Activity } from '../../../src/guard/usage/activity.ts';
import type { Row } from '../../../src/vscode/views/rows.ts';
import { userOf } from '../../support/usersOf.ts';
import '../../support/vscode.ts';

const { activityRows } = await import('../../../src/vscode/views/activity.ts');
const { endpointRows } = await import('../../../src/vscode/views/endpoint.ts');
const { userRows } = await import('../../../src/vscode/views/users.ts');

const now = Date.parse('2026-03-01T12:00:00.000Z');

const request = (id: number, more: Partial<ActiveRequest> = {}): ActiveRequest => ({
  id,
  user: 'alice',
  method: 'POST',
  path: '/api/chat',
  address: '192.0.2.7',
  model: 'llama3.2',
  startedAt: now - 5_000,
  tokens: 12,
  ...more,
});

const activity = (...active: readonly ActiveRequest[]): Activity => ({ active, done: [], connected: [] });

/** What a row shows. */
const shown = ({ icon, label, description }: Row): string => [icon, label, description].join(' | ');

test('a request that waits says its place in line, and how long it has waited', () => {
  const places = [1, 2, 3, 4, 11, 12, 13, 21, 22, 103].map((waiting, i) => request(i, { waiting, tokens: 0 }));
  assert.deepEqual(
    activityRows(activity(request(99), ...places), now).map(({ description }) => description),
    [
      '5 sec, 12 tokens',
      ...['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '22nd', '103rd'].map(
        (place) => `waits, ${place} in line, 5 sec`,
      ),
    ],
  );
  const [waits] = activityRows(activity(request(1, { waiting: 3 })), now);
  assert.ok(waits);
  assert.equal(shown(waits), 'watch | alice: llama3.2 | waits, 3rd in line, 5 sec');
  assert.deepEqual([waits.context, waits.target], ['request.active', '1'], 'it can be stopped');
  assert.ok(waits.tooltip.includes('waits, 3rd in line') && !waits.tooltip.some((line) => line.includes('token')));
});

test('a request whose turn has come keeps its row', () => {
  const [before] = activityRows(activity(request(1, { waiting: 1 })), now);
  const [after] = activityRows(activity(request(1)), now);
  assert.equal(before?.id, after?.id);
  assert.equal(after?.icon, 'loading~spin');
});

function endpoint(active: Activity): readonly Row[] {
  const counts = { served: 0, active: 0 };
  const running = { url: 'http://127.0.0.1:11435', upstream: 'http://127.0.0.1:11434', users: 1, counts };
  const state = { status: 'running', ...running } as const;
  return endpointRows({ state, answers: true, activity: active, storage: 'kept', now });
}

test('the endpoint has a row for the queue while somebody waits', () => {
  const queue = (active: Activity) => endpoint(active).find(({ id }) => id === 'queue');
  assert.equal(queue(activity()), undefined);
  assert.equal(queue(activity(request(1), request(2))), undefined);
  const row = queue(
    activity(
      request(1),
      request(2, { waiting: 1 }),
      request(3, { waiting: 2, user: 'bob' }),
      request(4, { waiting: 3 }),
    ),
  );
  assert.ok(row);
  assert.equal(shown(row), 'list-ordered | Queue | 1 at work, 3 waiting');
  assert.deepEqual(row.tooltip.slice(1), ['alice: 2 waiting', 'bob: 1 waiting']);
});

test('a user shows what holds beside the role, and public keys below', () => {
  const key = { id: 'abcdefghij', label: 'alice@laptop', blob: 'x', createdAt: '2026-01-01T00:00:00.000Z' };
  const plain = userOf('alice', 1);
  const user = {
    ...plain,
    models: { allow: ['llama3*', 'qwen*'], deny: ['*:cloud'] },
    limits: { requestsPerMinute: 30, tokensPerDay: 200_000 },
    publicKeys: [key, { ...key, id: 'bcdefghijk', label: '', expiresAt: '2026-02-01T00:00:00.000Z' }],
  };
  const [row] = userRows({ users: [user], lastUsed: { [key.id]: now - 60_000 * 3 }, now });
  assert.deepEqual(row?.tooltip.slice(1, 4), [
    'Models: llama3*, qwen*; not *:cloud',
    'Requests per minute: 30',
    'Tokens per day: 200,000',
  ]);
  const keys = row?.children?.filter(({ context }) => context === 'publicKey') ?? [];
  assert.deepEqual(keys.map(shown), [
    'key | alice@laptop | public key, used 3 min. ago',
    'key | bcdefghijk | public key, expired',
  ]);
  assert.deepEqual(
    keys.map(({ target }) => target),
    ['abcdefghij', 'bcdefghijk'],
  );

  const [unrestricted] = userRows({ users: [plain], lastUsed: {}, now });
  assert.ok(unrestricted?.tooltip.every((line) => !/Models|per/.test(line)));
});
