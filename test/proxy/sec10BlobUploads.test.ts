// SEC-10: `POST /api/blobs/:digest` is an upload, so it is for those who manage Ollama, under one name, and bounded.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeUser } from '../../src/guard/identity/users.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { chunk } from '../support/http1.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const hex = '0123456789abcdef'.repeat(4);
const path = `/api/blobs/sha256:${hex}`;

test('SEC-10: who does not manage Ollama uploads nothing', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  for (const person of [team.vera, team.mia]) {
    for (const method of ['POST', 'HEAD']) {
      const headers = { authorization: person.bearer };
      const body = method === 'POST' ? 'GGUF' : undefined;
      assert.equal((await guard.call({ method, path, headers, ...(body && { body }) })).status, 403, person.name);
    }
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-10: an upload is named by a digest and nothing else', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const headers = { authorization: team.adam.bearer };
  for (const name of [
    '',
    'x',
    hex,
    `sha256:${hex.slice(1)}`,
    `sha256:${hex}0`,
    `sha512:${hex}`,
    `SHA256:${hex}`,
    `sha256:${hex.toUpperCase()}`,
    `sha256:${hex}/x`,
    `sha256:${hex.slice(1)}*`,
  ]) {
    const { status } = await guard.call({ method: 'POST', path: `/api/blobs/${name}`, headers, body: 'GGUF' });
    assert.ok(status === 404 || status === 400, `${name}: ${status}`);
  }
  assert.equal(upstream.connections, 0);
});

test('SEC-10: an upload has an end for a manager too, whether its length is announced or not', async (t) => {
  const upstream = await startFakeOllama(t);
  const policy = { roles: { admin: { clamps: { uploadBytes: 1_000 } } } };
  const guard = await startGuard(t, upstream, { config: { policy } });
  const headers = { authorization: team.adam.bearer };
  const upload = (body: string, more = {}) => ({ method: 'POST', path, headers: { ...headers, ...more }, body });
  assert.equal((await guard.call(upload('x'.repeat(1_001)))).status, 413);
  assert.equal(upstream.connections, 0);
  assert.equal((await guard.call(upload('x'.repeat(1_000)))).status, 200);

  const client = await RawClient.open(t, guard.port);
  client.send(upload(String(chunk('x'.repeat(1_000))), { 'transfer-encoding': 'chunked' }));
  await upstream.until(() => upstream.bytes > 2_000);
  client.send(chunk('x'));
  assert.equal((await client.response()).status, 413);
  assert.deepEqual(upstream.seen, [`POST ${path}`], 'Ollama keeps no part of it');
});

test('SEC-10: an upload ends for Ollama with its client, and with its user', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const headers = { authorization: team.adam.bearer, 'transfer-encoding': 'chunked' };
  const begin = async (number: number) => {
    const client = await RawClient.open(t, guard.port);
    client.send({ method: 'POST', path, headers, body: chunk('GGUF') });
    await upstream.until(() => upstream.heads.length === number);
    return client;
  };
  const leaving = await begin(1);
  leaving.socket.destroy();
  await upstream.until(() => upstream.open === 0);

  const barred = await begin(2);
  guard.guard.setUsers(changeUser(team.users, 'adam', { disabled: true }));
  await barred.closed();
  await upstream.until(() => upstream.open === 0);
  assert.deepEqual(upstream.seen, []);
});
