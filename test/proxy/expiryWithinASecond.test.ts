// SEC-45: a live stream ends within a second of the end of its user or key. The clock and the timers are the test's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addApiKey, changeUser } from '../../src/guard/identity/users.ts';
import { ask } from '../support/asks.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const chat = { model: 'x', messages: [{ role: 'user', content: 'hi' }] };

/** In milliseconds from the start of the guard. Whoever looked less often than every second would be late for one of them. */
const ends = [1, 500, 1_150, 1_750, 6_000];

for (const what of ['user', 'key'] as const) {
  for (const end of ends) {
    test(`SEC-45: a stream whose ${what} runs out after ${end} ms ends no sooner, and within a second`, async (t) => {
      t.mock.timers.enable({ apis: ['setInterval', 'Date'], now: Date.now() });
      const start = Date.now();
      const expiresAt = new Date(start + end);
      const upstream = await startFakeOllama(t, (reply) => reply.stream());
      const { users: keyed, text } = addApiKey(team.users, 'mia', 'short', what === 'key' ? expiresAt : undefined);
      const users = what === 'key' ? keyed : changeUser(keyed, 'mia', { expiresAt: expiresAt.toISOString() });
      const guard = await startGuard(t, upstream, { users });
      const client = await RawClient.open(t, guard.port);
      client.send({ ...ask(team.mia, '/api/chat', chat), headers: { authorization: `Bearer ${text}` } });
      await client.has('200 OK');
      const isOpenAt = async (time: number) => {
        t.mock.timers.tick(start + time - Date.now());
        // What the guard did at that time has come when some that ask afterwards, one after the other, are answered.
        for (let asked = 0; asked < 10 && !client.isClosed; asked += 1) await guard.call({ path: '/_guard/health' });
        return !client.isClosed;
      };
      assert.equal(await isOpenAt(end - 1), true);
      assert.equal(await isOpenAt(end + 1_000), false);
      await (await upstream.reply(0)).closed();
    });
  }
}
