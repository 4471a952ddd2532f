import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Activity } from '../../../src/guard/usage/activity.ts';
import { type GuardEvent, type Report, Reporter } from '../../../src/guard/usage/events.ts';

const event: GuardEvent = { type: 'error', message: 'x' };

test('events come in batches, one an interval at most, and none while nothing happens', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const reports: Report[] = [];
  const reporter = new Reporter((report) => reports.push(report), 250);
  t.mock.timers.tick(1_000);
  assert.equal(reports.length, 0);
  for (let i = 0; i < 20; i++) reporter.add(event);
  t.mock.timers.tick(249);
  assert.equal(reports.length, 0);
  t.mock.timers.tick(1);
  assert.deepEqual(
    reports.map(({ events }) => events.length),
    [20],
  );
  t.mock.timers.tick(1_000);
  assert.equal(reports.length, 1);
});

test('of too many events the rest is counted', () => {
  const reports: Report[] = [];
  const reporter = new Reporter((report) => reports.push(report), 250);
  for (let i = 0; i < 510; i++) reporter.add(event);
  reporter.flush();
  assert.deepEqual([reports[0]?.events.length, reports[0]?.dropped], [500, 10]);
  reporter.add(event);
  reporter.flush();
  assert.deepEqual([reports[1]?.events.length, reports[1]?.dropped], [1, 0]);
});

test('a key that was given out is never left out: its holder could hide it behind a flood', () => {
  const reports: Report[] = [];
  const reporter = new Reporter((report) => reports.push(report), 250);
  for (let i = 0; i < 510; i++) reporter.add(event);
  const redeemed: GuardEvent = { type: 'invite-redeemed', user: 'mia', keyId: 'a', address: '192.0.2.1' };
  reporter.add(redeemed);
  reporter.flush();
  assert.deepEqual([reports[0]?.events.at(-1), reports[0]?.dropped], [redeemed, 10]);
});

test('counts say what is served and what is being answered', () => {
  const reports: Report[] = [];
  const reporter = new Reporter((report) => reports.push(report), 250);
  reporter.begin();
  reporter.begin();
  reporter.end();
  reporter.flush();
  assert.deepEqual(reports[0]?.counts, { served: 2, active: 1 });
});

test('who signed in is reported once, with the time of the last', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000 });
  const reports: Report[] = [];
  const reporter = new Reporter((report) => reports.push(report), 250);
  reporter.used('a');
  t.mock.timers.tick(100);
  reporter.used('a');
  reporter.used('b');
  t.mock.timers.tick(150);
  reporter.add(event);
  t.mock.timers.tick(250);
  assert.deepEqual(
    reports.map(({ used }) => used),
    [{ a: 1_100, b: 1_100 }, {}],
  );
});

test('activity is reported at once and then as it changes, four times a second at most, while somebody watches', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const activity: Activity = { active: [], done: [], connected: [] };
  const reports: Report[] = [];
  const reporter = new Reporter((report) => reports.push(report), 250);
  reporter.activityChanged();
  t.mock.timers.tick(1_000);
  assert.equal(reports.length, 0, 'nobody watches');

  reporter.watch(() => activity);
  assert.deepEqual(
    reports.map((report) => report.activity),
    [activity],
  );
  t.mock.timers.tick(1_000);
  assert.equal(reports.length, 1, 'nothing changed');
  for (let i = 0; i < 100; i++) {
    reporter.activityChanged();
    t.mock.timers.tick(10);
  }
  assert.equal(reports.length, 5);

  reporter.watch(undefined);
  reporter.add(event);
  reporter.flush();
  assert.equal('activity' in (reports.at(-1) ?? {}), false);
});
