import assert from 'node:assert/strict';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import { addUser, setPasswordHash } from '../../src/guard/identity/users.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard } from '../support/guard.ts';
import { basic, team, testCost, withPerson } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';

const families = [
  ['GET', '/api/tags'],
  ['POST', '/api/chat'],
  ['GET', '/v1/models'],
  ['GET', '/v1/models/demo'],
  ['POST', '/v1/chat/completions'],
  ['POST', '/v1/messages'],
  ['GET', '/'],
] as const;

test('every form of a credential opens every family of routes', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => reply.json({ models: [], data: [] }));
  const guard = await startGuard(t, upstream);
  const forms = [
    { authorization: team.mia.basic },
    { authorization: team.mia.bearer },
    { authorization: `bearer ${team.mia.key}` },
    { authorization: team.mia.basic.replace('Basic', 'BASIC') },
    { authorization: basic('mia', team.mia.key) },
    { 'x-api-key': team.mia.key },
    { 'x-api-key': team.mia.key, authorization: 'Bearer ollama' },
  ];
  for (const [method, path] of families) {
    for (const headers of forms) {
      const response = await guard.call({
        method,
        path,
        headers,
        ...(method === 'POST' && { body: '{"model":"demo"}' }),
      });
      assert.equal(response.status, 200, `${path} ${JSON.stringify(Object.keys(headers))}`);
    }
  }
  assert.equal(upstream.requests.length, families.length * forms.length);
});

test('refusals speak the dialect of the path', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const bodyOf = async (path: string) => JSON.parse((await guard.call({ method: 'POST', path })).text);
  assert.deepEqual(Object.keys(await bodyOf('/api/chat')), ['error']);
  assert.equal(typeof (await bodyOf('/api/chat')).error, 'string');
  const openAi = (await bodyOf('/v1/chat/completions')).error;
  assert.deepEqual([openAi.type, openAi.code], ['authentication_error', 'unauthenticated']);
  const anthropic = await bodyOf('/v1/messages');
  assert.deepEqual([anthropic.type, anthropic.error.type], ['error', 'authentication_error']);
});

test('hashes of htpasswd and Caddy are taken', async (t) => {
  const upstream = await startFakeOllama(t);
  const hash = bcrypt.hashSync('secret', testCost);
  for (const prefix of ['$2y$', '$2a$', '$2b$']) {
    const users = setPasswordHash(team.users, 'mia', hash.replace(/^\$2.\$/, prefix));
    const guard = await startGuard(t, upstream, { users });
    assert.equal((await guard.call({ headers: { authorization: basic('mia', 'secret') } })).status, 200, prefix);
    assert.equal((await guard.call({ headers: { authorization: basic('mia', 'Secret') } })).status, 401, prefix);
  }
});

test('SEC-58: a password of 72 bytes is right to its last byte, and one of 73 or none is never compared', async (t) => {
  const upstream = await startFakeOllama(t);
  const long = 'ä'.repeat(36);
  const { users } = withPerson([], 'zoe', 'viewer', long);
  const guard = await startGuard(t, upstream, {
    users: addUser(users, 'empty', 'viewer', bcrypt.hashSync('', testCost)),
  });
  const statusOf = async (name: string, password: string) =>
    (await guard.call({ headers: { authorization: basic(name, password) } })).status;
  assert.equal(await statusOf('zoe', long), 200);
  assert.equal(guard.compares.length, 1);
  assert.equal(await statusOf('zoe', `${long}x`), 401);
  assert.equal(await statusOf('empty', ''), 401);
  assert.equal(guard.compares.length, 1);
});

test('SEC-50: a name and a password that run together are not another name and password', async (t) => {
  const upstream = await startFakeOllama(t);
  const { users } = withPerson([], 'ab', 'viewer', 'c');
  const guard = await startGuard(t, upstream, { users: withPerson(users, 'a', 'viewer', 'other').users });
  const statusOf = async (name: string, password: string) =>
    (await guard.call({ headers: { authorization: basic(name, password) } })).status;
  assert.equal(await statusOf('ab', 'c'), 200);
  assert.equal(await statusOf('a', 'bc'), 401);
  assert.equal(await statusOf('', 'abc'), 401);
  assert.equal(guard.compares.length, 3);
});

test('SEC-45, users change: what was remembered does not outlive its user', async (t) => {
  const upstream = await startFakeOllama(t);
  const guard = await startGuard(t, upstream);
  const status = async (authorization: string) => (await guard.call({ headers: { authorization } })).status;
  assert.equal(await status(team.mia.basic), 200);

  guard.guard.setUsers(setPasswordHash(team.users, 'mia', bcrypt.hashSync('new', testCost)));
  assert.equal(await status(team.mia.basic), 401, 'a new password');
  assert.equal(await status(basic('mia', 'new')), 200);
  const expired = team.users.map((user) => ({ ...user, expiresAt: '2020-01-01T00:00:00.000Z' }));
  guard.guard.setUsers(expired);
  assert.equal(await status(team.mia.basic), 401, 'run out');
  guard.guard.setUsers([]);
  assert.equal(await status(team.mia.basic), 401, 'removed');
  assert.equal(await status(team.mia.bearer), 401);
});

test('live streams end with their user, their key or their password, and nobody else’s', async (t) => {
  const upstream = await startFakeOllama(t, (reply) => {
    reply.stream();
    reply.chunk('first');
  });
  const guard = await startGuard(t, upstream);
  const open = async (authorization: string) => {
    const client = await RawClient.open(t, guard.port);
    client.send({ method: 'POST', path: '/api/chat', headers: { authorization }, body: '{"model":"demo"}' });
    await client.has('first');
    return client;
  };
  const byPassword = await open(team.mia.basic);
  const byKey = await open(team.mia.bearer);
  const other = await open(team.adam.bearer);

  const [mia] = team.users.filter(({ name }) => name === 'mia');
  assert.ok(mia);
  const others = team.users.filter((user) => user !== mia);
  guard.guard.setUsers([...others, { ...mia, keys: [] }]);
  await byKey.closed();
  assert.equal(byPassword.isClosed, false);
  guard.guard.setUsers(others);
  await byPassword.closed();
  assert.equal(other.isClosed, false);
  await upstream.until(() => upstream.open === 1);
});
