// SEC-45: LiteLLM's sessions outlived their end (CVE-2026-12772, CVE-2026-12796), and LoLLMs Hub never looks at its column
// `expires_at`. Here the end of a user and of a key counts at every request, also when the credential is remembered.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { addApiKey, changeUser } from '../../src/guard/identity/users.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

/** In milliseconds; a password that was compared is remembered for longer. */
const shortly = 5 * 60_000;

/** The clock that the guard and the test read; timers run on. */
function clock(t: TestContext): { set(time: number): void } {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  return { set: (time) => t.mock.timers.setTime(time) };
}

const chat = (authorization: string) => ({
  method: 'POST',
  path: '/api/chat',
  headers: { authorization },
  body: '{"model":"x","messages":[{"role":"user","content":"hi"}]}',
});

test('SEC-45: a user who runs out is nobody at the next request, whatever the credential', async (t) => {
  const time = clock(t);
  const end = Date.now() + shortly;
  const upstream = await startFakeOllama(t);
  const users = changeUser(team.users, 'mia', { expiresAt: new Date(end).toISOString() });
  const guard = await startGuard(t, upstream, { users });
  const statuses = async () => {
    const answers = [];
    for (const authorization of [team.mia.basic, team.mia.bearer]) {
      answers.push((await guard.call(chat(authorization))).status);
      answers.push((await guard.call({ headers: { authorization } })).status);
    }
    return [...new Set(answers)];
  };
  assert.deepEqual(await statuses(), [200]);
  time.set(end - 1);
  assert.deepEqual(await statuses(), [200]);
  assert.equal(guard.compares.length, 1, 'the password is remembered');
  const seen = upstream.requests.length;
  time.set(end);
  assert.deepEqual(await statuses(), [401]);
  assert.equal(upstream.requests.length, seen);

  guard.guard.setUsers(changeUser(users, 'mia', { expiresAt: null }));
  assert.deepEqual(await statuses(), [200]);
});

test('SEC-45: a key that runs out takes nothing along but itself', async (t) => {
  const time = clock(t);
  const end = Date.now() + shortly;
  const upstream = await startFakeOllama(t);
  const { users, text } = addApiKey(team.users, 'mia', 'short', new Date(end));
  const guard = await startGuard(t, upstream, { users });
  const status = async (authorization: string) => (await guard.call(chat(authorization))).status;
  assert.equal(await status(`Bearer ${text}`), 200);
  time.set(end);
  assert.equal(await status(`Bearer ${text}`), 401);
  assert.deepEqual([await status(team.mia.bearer), await status(team.mia.basic)], [200, 200]);
});

for (const what of ['user', 'key', 'password'] as const) {
  test(`SEC-45: a stream, and a request that waits, end when their ${what} runs out`, async (t) => {
    const time = clock(t);
    const end = Date.now() + shortly;
    const expiresAt = new Date(end).toISOString();
    const upstream = await startFakeOllama(t, (reply) => reply.stream());
    const { users: keyed, text } = addApiKey(team.users, 'mia', 'short', what === 'key' ? new Date(end) : undefined);
    const users = what === 'key' ? keyed : changeUser(keyed, 'mia', { expiresAt });
    const guard = await startGuard(t, upstream, { users, config: { policy: { queue: { concurrency: 1 } } } });
    guard.guard.watchActivity(true);
    const authorization = what === 'password' ? team.mia.basic : `Bearer ${text}`;
    const clients = [await RawClient.open(t, guard.port), await RawClient.open(t, guard.port)];
    clients[0]?.send(chat(authorization));
    await clients[0]?.has('200 OK');
    clients[1]?.send(chat(authorization));
    await guard.activity(({ active }) => active.some(({ waiting }) => waiting === 1));
    time.set(end);
    await Promise.all(clients.map((client) => client.closed()));
    assert.equal(clients[1]?.pending, '');
    await (await upstream.reply(0)).closed();
    assert.equal(upstream.requests.length, 1);
    // Both places are free.
    assert.equal((await guard.activity(({ active }) => active.length === 0)).done.length, 2);
    const adam = await RawClient.open(t, guard.port);
    adam.send(chat(team.adam.bearer));
    await adam.has('200 OK');
  });
}
