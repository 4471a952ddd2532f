import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import { encodeFrame, SocketChannel } from '../../../src/windows/channel.ts';
import { type Credentials, createToken, greetFollower, greetOwner } from '../../../src/windows/handshake.ts';
import { Reception } from '../../../src/windows/reception.ts';
import { RawClient } from '../../support/rawClient.ts';
import { startForeignProgram } from './support.ts';

async function openReception(t: TestContext) {
  const reception = await Reception.open(1);
  t.after(() => reception.close());
  const followers: unknown[] = [];
  reception.onFollower((channel) => followers.push(channel));
  return { reception, followers, credentials: reception.credentials };
}

function channelTo(t: TestContext, port: number): SocketChannel {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  return new SocketChannel(socket);
}

async function until(check: () => boolean): Promise<void> {
  while (!check()) await tick();
}

/** The bytes of the hello that a window with these credentials says at `port`. */
async function helloOf(t: TestContext, credentials: Credentials): Promise<Buffer> {
  const listener = await startForeignProgram(t, (socket) => socket.destroy());
  await greetOwner(channelTo(t, listener.port), credentials);
  return listener.received();
}

for (const [what, bytes] of [
  ['HTTP', 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'],
  ['a web page’s POST', 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\n{}'],
  ['TLS', Buffer.from('16030100f5010000f10303', 'hex')],
  ['a message over the limit', Buffer.from([0, 0, 4, 1])],
  ['no JSON', Buffer.concat([Buffer.from([0, 0, 0, 4]), Buffer.from('{"a"')])],
  ['a message that is no hello', encodeFrame({ t: 'q', m: 'stop', a: [] })],
  ['a hello without proof', encodeFrame({ protocol: 1, nonce: createToken() })],
  ['a hello with a made-up proof', encodeFrame({ protocol: 1, nonce: createToken(), proof: createToken() })],
] as const) {
  test(`${what} is answered with the end of the connection alone`, async (t) => {
    const { credentials, followers } = await openReception(t);
    const client = await RawClient.open(t, credentials.port);
    client.send(bytes);
    await client.closed();
    assert.equal(client.pending, '');
    assert.equal(followers.length, 0);
  });
}

test('whoever says nothing is cut off', async (t) => {
  const { credentials } = await openReception(t);
  const client = await RawClient.open(t, credentials.port);
  client.send(Buffer.from([0, 0]));
  await client.closed();
  assert.equal(client.pending, '');
});

test('a false follower is dropped unanswered, whatever it has wrong', async (t) => {
  const { credentials, followers } = await openReception(t);
  for (const wrong of [
    { ...credentials, token: createToken() },
    { ...credentials, port: credentials.port ^ 1 },
  ]) {
    const client = await RawClient.open(t, credentials.port);
    client.send(await helloOf(t, wrong));
    await client.closed();
    assert.equal(client.pending, '');
  }
  assert.equal(followers.length, 0);
});

test('a recorded hello lets nobody in', async (t) => {
  const { credentials, followers } = await openReception(t);
  const client = await RawClient.open(t, credentials.port);
  client.send(await helloOf(t, credentials));
  await client.has('proof');
  client.send(encodeFrame({ proof: createToken() }));
  await client.closed();
  assert.equal(followers.length, 0);
});

test('an owner’s own proof, sent back, lets nobody in', async (t) => {
  const { credentials, followers } = await openReception(t);
  const channel = channelTo(t, credentials.port);
  const hello = await helloOf(t, credentials);
  channel.postMessage(JSON.parse(hello.toString('utf8', 4)));
  const { proof } = (await channel.next(1024)) as { proof: string };
  channel.postMessage({ proof });
  assert.equal(await channel.next(1024), undefined);
  assert.equal(followers.length, 0);
});

test('a false owner is not followed, and hears nothing of the secret', async (t) => {
  const credentials = { token: createToken(), port: 1, protocol: 1 };
  const otherToken = createToken();
  for (const answer of [
    (hello: Buffer) => hello,
    () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    () => encodeFrame({ protocol: 1, nonce: createToken(), proof: createToken() }),
    () => encodeFrame({ protocol: 2, nonce: createToken(), proof: createToken() }),
    () => encodeFrame({}),
  ]) {
    const program = await startForeignProgram(t, (socket, data) => socket.write(answer(data)));
    const { port } = program;
    assert.equal(await greetOwner(channelTo(t, port), { ...credentials, port }), 'stranger');
    const heard = program.received().toString('latin1');
    assert.ok(heard.includes('proof') && !heard.includes(credentials.token));
  }
  const program = await startForeignProgram(
    t,
    () => undefined,
    (socket) =>
      void greetFollower(new SocketChannel(socket), { token: otherToken, port: program.port, protocol: 1 }).then(() =>
        socket.destroy(),
      ),
  );
  assert.equal(await greetOwner(channelTo(t, program.port), { ...credentials, port: program.port }), 'hung-up');
});

test('a window of another version hears who answers, and is no follower whatever it says then', async (t) => {
  for (const protocol of [1, 2]) {
    const { credentials, followers } = await openReception(t);
    const { token, port } = credentials;
    const prove = (...said: readonly unknown[]) =>
      createHmac('sha256', Buffer.from(token, 'base64url')).update(JSON.stringify(said)).digest('base64url');
    const nonce = createToken();
    const channel = channelTo(t, port);
    channel.postMessage({ protocol, nonce, proof: prove('hello', '127.0.0.1', port, protocol, nonce) });
    const owner = (await channel.next(1024)) as { protocol: number; nonce: string; proof: string };
    const conversation = ['127.0.0.1', port, protocol, nonce, 1, owner.nonce];
    assert.deepEqual(owner, { protocol: 1, nonce: owner.nonce, proof: prove('owner', ...conversation) });
    channel.postMessage({ proof: prove('follower', ...conversation) });
    if (protocol === 1) await until(() => followers.length === 1);
    else assert.equal(await channel.next(1024), undefined);
    assert.equal(followers.length, protocol === 1 ? 1 : 0);
  }
});

test('strangers who hold connections open keep no window out', async (t) => {
  // No stranger runs out of time here: it has to give way.
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { credentials, followers } = await openReception(t);
  const strangers = await Promise.all(Array.from({ length: 64 }, () => RawClient.open(t, credentials.port)));
  assert.equal(await greetOwner(channelTo(t, credentials.port), credentials), 'admitted');
  await Promise.race(strangers.map((stranger) => stranger.closed()));
  await until(() => followers.length === 1);
});
