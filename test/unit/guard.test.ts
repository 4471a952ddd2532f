import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../src/guard/config.ts';
import { GuardError } from '../../src/guard/errors.ts';
import { Guard } from '../../src/guard/guard.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { noPorts } from '../support/guardPorts.ts';
import { team } from '../support/people.ts';

const upstream = 'http://127.0.0.1:1';
const start = (config: { host: string; port: number }, users = team.users) =>
  Guard.start({
    config: parseConfig({ upstream, ...config }),
    users,
    comparePassword: async () => false,
    onReport: () => {},
    onTls: () => {},
    ...noPorts(),
  });

test('SEC-1: beyond loopback it does not start without a user', async (t) => {
  for (const host of ['0.0.0.0', '::']) {
    await assert.rejects(start({ host, port: 0 }, []), (error) => GuardError.is(error, 'no-users'));
  }
  const guard = await start({ host: '127.0.0.1', port: 0 }, []);
  t.after(() => guard.stop(0));
  assert.match(guard.url, /^http:\/\/127\.0\.0\.1:\d+$/);
});

test('a busy port and a foreign address are errors that say so', async (t) => {
  const guard = await start({ host: '127.0.0.1', port: 0 });
  t.after(() => guard.stop(0));
  const port = Number(new URL(guard.url).port);
  await assert.rejects(
    start({ host: '127.0.0.1', port }),
    (error) => GuardError.is(error, 'address-in-use') && error.detail.args.port === port,
  );
  await assert.rejects(start({ host: '192.0.2.1', port: 0 }), (error) => GuardError.is(error, 'address-not-available'));
});

test('a request is reported with its user, path and status, and counted', async (t) => {
  const fake = await startFakeOllama(t);
  const guard = await startGuard(t, fake);
  await guard.call({ path: '/api/tags?secret', headers: { authorization: team.mia.bearer } });
  const { user, path, status, complete, method, address } = await guard.event('request');
  assert.deepEqual(
    [user, method, path, status, complete, address],
    ['mia', 'GET', '/api/tags', 200, true, '127.0.0.1'],
  );
});

test('a compare that breaks is one 500, an event, and nobody signed in', async (t) => {
  const fake = await startFakeOllama(t);
  const guard = await startGuard(t, fake, { comparePassword: async () => Promise.reject(new Error('broken')) });
  assert.equal((await guard.call({ headers: { authorization: team.mia.basic } })).status, 500);
  assert.match((await guard.event('error')).message, /broken/);
  assert.equal(fake.connections, 0);
});
