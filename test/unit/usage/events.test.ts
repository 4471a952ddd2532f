import assert from 'node:assert/strict';
import { test } from 'node:test';
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

test('counts say what is served and what is being answered', () => {
  const reports: Report[] = [];
  const reporter = new Reporter((report) => reports.push(report), 250);
  reporter.begin();
  reporter.begin();
  reporter.end();
  reporter.flush();
  assert.deepEqual(reports[0]?.counts, { served: 2, active: 1 });
});
