import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FrameReader, maxMessageBytes, SocketChannel } from '../../../src/windows/channel.ts';
import { Signal } from '../../support/signal.ts';

/** Both ends of a connection. */
async function socketPair(t: TestContext): Promise<readonly [Socket, Socket]> {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  near.on('error', () => undefined);
  const [far] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}

/** A channel, and the bare socket at its other end. */
async function channelTo(t: TestContext): Promise<{ readonly channel: SocketChannel; readonly peer: Socket }> {
  const [near, peer] = await socketPair(t);
  return { channel: new SocketChannel(near), peer };
}

/** What a channel delivers, from now on. */
function listen(channel: SocketChannel) {
  const changed = new Signal();
  const messages: unknown[] = [];
  channel.on('message', (message) => {
    messages.push(message);
    changed.notify();
  });
  return { messages, count: (wanted: number) => changed.until(() => messages.length >= wanted || undefined) };
}

const ended = (channel: SocketChannel) => new Promise<void>((resolve) => channel.onClose(resolve));
const header = (size: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(size);
  return bytes;
};

test('any messages arrive as they were sent, however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.infiniteStream(fc.integer({ min: 1, max: 12 })), (messages, cuts) => {
      const bytes = Buffer.concat(messages.map(encodeFrame));
      const reader = new FrameReader();
      const taken: unknown[] = [];
      for (let start = 0; start < bytes.length; ) {
        const end = start + (cuts.next().value ?? 1);
        reader.push(bytes.subarray(start, end));
        for (let text = reader.take(bytes.length); text !== undefined; text = reader.take(bytes.length)) {
          taken.push(JSON.parse(text));
        }
        start = end;
      }
      assert.deepEqual(taken, JSON.parse(JSON.stringify(messages)));
      assert.equal(reader.bytes, 0);
    }),
  );
});

test('a length over the limit is refused before the message is there', () => {
  const reader = new FrameReader();
  reader.push(header(11));
  assert.throws(() => reader.take(10), RangeError);
  assert.equal(reader.take(11), undefined);
});

test('messages go both ways, the longest too', async (t) => {
  const [near, far] = (await socketPair(t)).map((socket) => new SocketChannel(socket));
  assert.ok(near !== undefined && far !== undefined);
  const longest = 'x'.repeat(maxMessageBytes - 2);
  const [atNear, atFar] = [listen(near), listen(far)];
  near.postMessage({ users: ['mia'] });
  near.postMessage(longest);
  far.postMessage(null);
  await atFar.count(2);
  await atNear.count(1);
  assert.deepEqual(atFar.messages[0], { users: ['mia'] });
  assert.ok(atFar.messages[1] === longest);
  assert.deepEqual(atNear.messages, [null]);
});

test('what cannot be sent is an error for the sender, and the channel goes on', async (t) => {
  const { channel } = await channelTo(t);
  assert.throws(() => channel.postMessage('x'.repeat(maxMessageBytes)), RangeError);
  assert.throws(() => channel.postMessage(undefined), TypeError);
  assert.throws(() => channel.postMessage(1n), TypeError);
  assert.equal(channel.closed, false);
});

test('messages that came early wait for whoever listens first', async (t) => {
  const { channel, peer } = await channelTo(t);
  peer.write(Buffer.concat([encodeFrame(1), encodeFrame(2), encodeFrame(3)]));
  assert.equal(await channel.next(10), 1);
  const { messages, count } = listen(channel);
  assert.deepEqual(messages, [], 'nothing comes while the listener is still being put in place');
  await count(2);
  assert.deepEqual(messages, [2, 3]);
});

for (const [what, bytes] of [
  ['a message that is too long', header(maxMessageBytes + 1)],
  ['no JSON', Buffer.concat([header(3), Buffer.from('{]}')])],
  ['nothing at all', header(0)],
] as const) {
  test(`${what} ends the channel`, async (t) => {
    const { channel, peer } = await channelTo(t);
    const { messages } = listen(channel);
    peer.write(bytes);
    await ended(channel);
    assert.deepEqual(messages, []);
  });
}

test('a peer that sends without end to nobody is cut off', async (t) => {
  const { channel, peer } = await channelTo(t);
  peer.on('error', () => undefined);
  peer.write(Buffer.alloc(maxMessageBytes + 1));
  await ended(channel);
});

test('a peer that does not read is cut off', async (t) => {
  const { channel, peer } = await channelTo(t);
  peer.pause();
  const message = 'x'.repeat(maxMessageBytes - 2);
  for (let sent = 0; sent < 4; sent++) channel.postMessage(message);
  assert.equal(channel.closed, true);
  await ended(channel);
});

test('what was sent before the end arrives, and nothing after', async (t) => {
  const [near, far] = (await socketPair(t)).map((socket) => new SocketChannel(socket));
  assert.ok(near !== undefined && far !== undefined);
  const { messages } = listen(far);
  near.postMessage('last');
  near.close();
  near.postMessage('too late');
  near.close();
  assert.equal(near.closed, true);
  await Promise.all([ended(near), ended(far)]);
  assert.deepEqual(messages, ['last']);
  assert.equal(far.closed, true);
  await ended(far);
});

test('a channel ends although its peer does not read what is left', async (t) => {
  const { channel, peer } = await channelTo(t);
  peer.pause();
  channel.postMessage('x'.repeat(maxMessageBytes - 2));
  channel.close();
  await ended(channel);
});
