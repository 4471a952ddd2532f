// What some send must keep nobody else waiting (SEC-71), nor lock them out by the memory it takes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from '../../src/guard/config.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { type Person, team, withPerson } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';
import { countTurns, watchReading } from '../support/reading.ts';

const noa = withPerson(team.users, 'noa', 'member');
const { users } = noa;

const post = (person: Person, headers: Readonly<Record<string, string>> = {}) => ({
  method: 'POST',
  path: '/api/generate',
  headers: { authorization: person.bearer, ...headers },
});
const small = { ...post(team.adam), body: '{"model":"m","prompt":"hi"}' };
const version = { path: '/api/version', headers: { authorization: team.adam.bearer } };

test('honest requests are answered between the pieces of bodies that take long to read', async (t) => {
  const turnOf = countTurns(t);
  const byTurn = new Map<number, number>();
  let now = performance.now();
  t.mock.method(performance, 'now', () => now);
  // By a clock that only reading moves: two pieces are more than a turn has time for.
  const reading = watchReading(t, () => {
    now += 3;
    byTurn.set(turnOf(), (byTurn.get(turnOf()) ?? 0) + 1);
  });
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const body = `{"model":"m","messages":[${'{},'.repeat(170_000)}{}]}`;
  const hostile = await Promise.all(Array.from({ length: 24 }, () => RawClient.open(t, guard.port)));
  for (const client of hostile) client.send({ ...post(team.mia), body });
  await reading.until(() => reading.pieces > 0);

  const waited: number[] = [];
  for (let number = 0; number < 8; number += 1) {
    for (const request of [version, small]) {
      const before = reading.pieces;
      assert.equal((await guard.call(request)).status, 200);
      waited.push(reading.pieces - before);
    }
  }
  const half = (hostile.length * body.length) / 2;
  assert.ok(reading.bytes < half, `${reading.bytes} bytes were read before 16 requests were answered`);
  assert.ok(Math.max(...waited) < 100, `${waited} pieces`);
  for (const client of hostile) assert.equal((await client.response()).status, 200);
  assert.ok(Math.max(...byTurn.values()) <= 4, `${Math.max(...byTurn.values())} pieces in one turn`);
});

test('a client that leaves while its body waits for its turn leaves nothing behind', async (t) => {
  let now = performance.now();
  t.mock.method(performance, 'now', () => now);
  const reading = watchReading(t, () => {
    now += 100;
  });
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const body = `{"model":"m","prompt":"${'a'.repeat(MiB)}"}`;
  const clients = await Promise.all(Array.from({ length: 8 }, () => RawClient.open(t, guard.port)));
  for (const client of clients) client.send({ ...post(team.mia), body });
  await reading.until(() => reading.pieces > 8);
  for (const client of clients) client.socket.destroy();
  assert.equal((await guard.call(small)).status, 200);
  assert.equal((await guard.call({ ...small, body })).status, 200);
  assert.equal(upstream.requests.length, 2);
  assert.ok(reading.bytes < clients.length * body.length);
});

test('a refusal of a body that waited leaves its connection for the next request', async (t) => {
  let now = performance.now();
  t.mock.method(performance, 'now', () => now);
  const reading = watchReading(t, () => {
    now += 100;
  });
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const filling = 'a'.repeat(200_000);
  const body = `{"model":"m","prompt":"${filling}","Model":"n","system":"${filling}"}`;
  const clients = await Promise.all(Array.from({ length: 4 }, () => RawClient.open(t, guard.port)));
  for (const client of clients) client.send({ ...post(team.mia), body });
  for (const client of clients) {
    assert.equal((await client.response()).status, 400);
    client.send(small);
    assert.equal((await client.response()).status, 200);
  }
  assert.ok(reading.bytes < clients.length * (body.length - 100_000), 'nothing is read after the refusal');
});

test('bodies cut into single bytes are taken as they are', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users });
  const body = `{"model":"m","prompt":"${'a'.repeat(30_000)}"}`;
  const cut = [...body].map((byte) => `1\r\n${byte}\r\n`).join('');
  const send = () => guard.call({ ...post(team.mia, { 'transfer-encoding': 'chunked' }), body: `${cut}0\r\n\r\n` });
  const answers = await Promise.all(Array.from({ length: 4 }, send));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200],
  );
  assert.ok(upstream.requests.every(({ text }) => text === body));
});

test('two members who hold all the bodies that they can lock nobody out', async (t) => {
  const reading = watchReading(t);
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream, { users, config: { maxBodyBytes: MiB } });
  const part = `{"model":"m","prompt":"${'a'.repeat(MiB - 1_000)}`;
  let refused = 0;
  for (const person of [team.mia, noa.person]) {
    for (let number = 0; number < 6; number += 1) {
      const client = await RawClient.open(t, guard.port);
      const end = reading.bytes + part.length;
      client.send(post(person, { 'transfer-encoding': 'chunked' }));
      client.send(chunk(part));
      const answer = client.response().then(({ status }) => status);
      answer.catch(() => {});
      const status = await Promise.race([answer, reading.until(() => reading.bytes === end)]);
      if (typeof status !== 'number') continue;
      assert.equal(status, 429);
      refused += 1;
    }
  }
  assert.ok(refused >= 2, 'neither can hold more');
  assert.equal((await guard.call(small)).status, 200);
  const large = `${part}"}`;
  assert.equal((await guard.call({ ...small, body: large })).status, 200, 'a large one fits as well');
});
