// SEC-55: a lock-out that hits good traffic is a denial of service that anybody can order.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { basic, team } from '../support/people.ts';
import { request } from '../support/rawClient.ts';

async function lockOut(guard: TestGuard, name = 'mia'): Promise<void> {
  for (let i = 0; i < 10; i++) await guard.call({ headers: { authorization: basic(name, `guess-${i}`) } });
  const response = await guard.call({ headers: { authorization: basic(name, 'guess-10') } });
  assert.equal(response.status, 429);
}

async function start(t: TestContext): Promise<TestGuard> {
  return startGuard(t, await startFakeOllama(t));
}

test('SEC-55: a valid key passes from an address that is locked out', async (t) => {
  const guard = await start(t);
  await lockOut(guard);
  assert.equal((await guard.call({ headers: { authorization: team.mia.bearer } })).status, 200);
  assert.equal((await guard.call({ headers: { 'x-api-key': team.vera.key } })).status, 200);
});

test('SEC-55: a password that was right before passes from an address that is locked out', async (t) => {
  const guard = await start(t);
  assert.equal((await guard.call({ headers: { authorization: team.mia.basic } })).status, 200);
  await lockOut(guard);
  assert.equal((await guard.call({ headers: { authorization: team.mia.basic } })).status, 200);
});

test('SEC-55: the right password from elsewhere passes while the name is under attack', async (t) => {
  const guard = await start(t);
  await lockOut(guard);
  const right = { headers: { authorization: team.mia.basic } };
  assert.equal((await request(t, guard.port, right, { localAddress: '127.0.0.2' })).status, 200);
});

test('another name cannot be tried from an address that is locked out', async (t) => {
  const guard = await start(t);
  await lockOut(guard);
  const compares = guard.compares.length;
  assert.equal((await guard.call({ headers: { authorization: basic('vera', 'guess') } })).status, 429);
  assert.equal(guard.compares.length, compares);
});

test('an address that has failed may not go on with a name that is under attack from elsewhere', async (t) => {
  const guard = await start(t);
  const from = (localAddress: string, password: string) =>
    request(t, guard.port, { headers: { authorization: basic('mia', password) } }, { localAddress });
  assert.equal((await from('127.0.0.2', 'guess')).status, 401);
  await lockOut(guard);
  assert.equal((await from('127.0.0.2', 'another')).status, 429);
});

test('SEC-56: requests without a credential, or with a placeholder, never lock anybody out', async (t) => {
  const guard = await start(t);
  const placeholders = ['Bearer ollama', 'Bearer undefined', 'Bearer null', 'Bearer ', 'Bearer'];
  for (const authorization of [...placeholders, ...placeholders, ...placeholders]) {
    assert.equal((await guard.call({ headers: { authorization } })).status, 401, authorization);
    assert.equal((await guard.call({ headers: { 'x-api-key': 'ollama' } })).status, 401);
    assert.equal((await guard.call({})).status, 401);
  }
  assert.equal((await guard.call({ headers: { authorization: team.mia.basic } })).status, 200);
});
