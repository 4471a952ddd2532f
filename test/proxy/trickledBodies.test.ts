// SEC-65: what trickles is ended, however regularly a byte of it comes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';
import { watchReading } from '../support/reading.ts';

test('a body that is not there after half a minute and what its size adds is 408, and its connection is closed', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const reading = watchReading(t);
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const begin = async (text: string) => {
    const client = await RawClient.open(t, guard.port);
    const headers = { authorization: team.mia.bearer, 'transfer-encoding': 'chunked' };
    client.send({ method: 'POST', path: '/api/chat', headers });
    const end = reading.bytes + text.length;
    client.send(chunk(text));
    await reading.until(() => reading.bytes === end);
    return client;
  };
  const trickling = await begin('{"model":"m","prompt":"');
  const large = await begin(`{"model":"m","prompt":"${'a'.repeat(512 * 1024)}`);
  for (let second = 1; second < 30; second += 1) {
    const end = reading.bytes + 1;
    trickling.send(chunk('a'));
    await reading.until(() => reading.bytes === end);
    t.mock.timers.tick(1_000);
  }
  assert.equal(trickling.pending, '');
  t.mock.timers.tick(1_000);
  const refused = await trickling.response();
  assert.deepEqual([refused.status, refused.headers.connection], [408, 'close']);
  await trickling.closed();

  large.send(`${chunk('"}')}0\r\n\r\n`);
  assert.equal((await large.response()).status, 200);
  assert.equal(upstream.requests.length, 1);
});
