import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { type GuardConfigInput, parseConfig } from '../../../src/guard/config.ts';
import { close, createListener, isEncrypted } from '../../../src/guard/entry/listener.ts';
import { tlsOptions } from '../../../src/guard/tls/options.ts';
import type { Challenges } from '../../../src/guard/tls/source.ts';
import { createCertificates, loopbackNames } from '../../support/certificates.ts';
import { without } from '../../support/debian.ts';
import { RawClient } from '../../support/rawClient.ts';

const certificates = without('openssl') ? undefined : createCertificates();
const files = certificates?.sign(...loopbackNames);
const context = files && { cert: readFileSync(files.certificate, 'utf8'), key: readFileSync(files.key, 'utf8') };

interface Listening {
  readonly server: HttpsServer;
  readonly port: number;
  /** Connections that can make requests, in order. */
  readonly open: Socket[];
}

type Handle = (req: IncomingMessage, res: ServerResponse) => void;

const tellWay: Handle = (req, res) => res.end(isEncrypted(req.socket) ? 'encrypted' : 'plain');

async function listen(
  t: TestContext,
  config: Partial<GuardConfigInput> = {},
  challenges: Challenges = { onAlpn: undefined },
  handle: Handle = tellWay,
): Promise<Listening> {
  const open: Socket[] = [];
  const server = createListener(
    parseConfig({ host: '127.0.0.1', port: 0, upstream: 'http://127.0.0.1:1', tls: { mode: 'auto' }, ...config }),
    { onRequest: handle, onConnection: (socket) => open.push(socket) },
    challenges,
  ) as HttpsServer;
  if (context !== undefined) server.setSecureContext({ ...tlsOptions, ...context });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, port: (server.address() as AddressInfo).port, open };
}

async function openTls(
  t: TestContext,
  port: number,
  options: ConnectionOptions = {},
  prepare: (socket: TLSSocket) => void = () => {},
): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port, ...(certificates && { ca: certificates.ca }), ...options });
  prepare(socket);
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

async function answerOn(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (/\r\n\r\n(encrypted|plain)/.test(text)) break;
  }
  return text.slice(text.indexOf('\r\n\r\n') + 4);
}

/** A ClientHello as openssl's own library writes it, without sending it. */
async function clientHello(t: TestContext, options: ConnectionOptions = {}): Promise<Buffer> {
  const sink = createServer();
  sink.listen(0, '127.0.0.1');
  await once(sink, 'listening');
  t.after(() => sink.close());
  const socket = connectTls({ host: '127.0.0.1', port: (sink.address() as AddressInfo).port, ...options });
  socket.on('error', () => {});
  const [taken] = (await once(sink, 'connection')) as [Socket];
  const [hello] = (await once(taken, 'data')) as [Buffer];
  taken.destroy();
  socket.destroy();
  return hello;
}

describe('an encrypted listener', { skip: without('openssl') }, () => {
  it('takes TLS and plain HTTP on one port, and tells them apart', async (t) => {
    const { port } = await listen(t);
    const encrypted = await openTls(t, port);
    encrypted.write(get);
    assert.equal(await answerOn(encrypted), 'encrypted');
    const plain = await RawClient.open(t, port);
    plain.send(get);
    assert.equal((await plain.response()).text, 'plain');
  });

  it('offers http/1.1 alone, and refuses who wants something else', async (t) => {
    const { port } = await listen(t);
    assert.equal((await openTls(t, port, { ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol, 'http/1.1');
    assert.equal((await openTls(t, port)).alpnProtocol, false);
    await assert.rejects(openTls(t, port, { ALPNProtocols: ['h2'] }), /no application protocol/i);
  });

  it('reads a ClientHello that comes byte by byte, and one that needs several segments', async (t) => {
    const { port } = await listen(t);
    // Enough protocols for more than one Ethernet frame.
    const many = Array.from({ length: 60 }, (_, i) => `protocol-${i}-${'x'.repeat(40)}`);
    const hello = await clientHello(t, { ALPNProtocols: [...many, 'http/1.1'] });
    assert.ok(hello.length > 3_000);
    for (const challenges of [undefined, () => assert.fail('no challenge')]) {
      const { port: other } = await listen(t, {}, { onAlpn: challenges });
      const client = await RawClient.open(t, other);
      client.socket.setNoDelay(true);
      for (const byte of hello.subarray(0, 200)) client.send(Buffer.of(byte));
      client.send(hello.subarray(200, 1_500));
      client.send(hello.subarray(1_500));
      // A ServerHello: a handshake record, version 3.3.
      await client.has('\x16\x03\x03');
    }
    const socket = await openTls(t, port, { ALPNProtocols: [...many, 'http/1.1'] });
    socket.write(get);
    assert.equal(await answerOn(socket), 'encrypted');
  });

  it('hands pipelined requests on whole, and a first packet larger than a read', async (t) => {
    const seen: string[] = [];
    const { port } = await listen(t, {}, undefined, (req, res) => {
      let bytes = 0;
      req.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      req.on('end', () => {
        seen.push(`${req.url} ${bytes}`);
        res.end('.');
      });
    });
    const big = 300_000;
    const client = await RawClient.open(t, port);
    client.send(
      [
        'GET /1 HTTP/1.1\r\nHost: x\r\n\r\n',
        `POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${big}\r\n\r\n${'a'.repeat(big)}`,
        'GET /3 HTTP/1.1\r\nHost: x\r\n\r\n',
      ].join(''),
    );
    for (let i = 0; i < 3; i++) assert.equal((await client.response()).status, 200);
    assert.deepEqual(seen, ['/1 0', `/2 ${big}`, '/3 0']);
  });

  it('refuses a renegotiation', async (t) => {
    const { port } = await listen(t);
    const socket = await openTls(t, port, { maxVersion: 'TLSv1.2' });
    const refused = Promise.withResolvers<unknown>();
    socket.on('error', refused.resolve);
    socket.renegotiate({}, (error) => refused.resolve(error));
    assert.match(String(await refused.promise), /renegotiation|RENEGOTIATION/);
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`resumes sessions of ${maxVersion}, until there is another certificate`, async (t) => {
      const { port, server } = await listen(t);
      const session = async (before?: Buffer) => {
        const ticket = Promise.withResolvers<Buffer>();
        const socket = await openTls(t, port, { maxVersion, session: before }, (opening) =>
          opening.on('session', ticket.resolve),
        );
        const reused = socket.isSessionReused();
        socket.write(get);
        await answerOn(socket);
        // A session that is resumed goes on as it is.
        const next = reused ? before : await ticket.promise;
        socket.destroy();
        return { reused, ticket: next };
      };
      const first = await session();
      assert.equal(first.reused, false);
      const second = await session(first.ticket);
      assert.equal(second.reused, true);
      if (context !== undefined) server.setSecureContext({ ...tlsOptions, ...context });
      assert.equal((await session(second.ticket)).reused, false);
    });
  }

  describe('ends what does not get to a request in time', () => {
    const config = { headersTimeoutMs: 300 };
    const slow: readonly (readonly [name: string, send: (client: RawClient, hello: Buffer) => void])[] = [
      ['silence', () => {}],
      ['half a ClientHello', (client, hello) => client.send(hello.subarray(0, 100))],
      ['a record header', (client, hello) => client.send(hello.subarray(0, 5))],
      ['a ClientHello and nothing more', (client, hello) => client.send(hello)],
      ['half a request', (client) => client.send('GET / HTTP/1.1\r\nHost: x\r\n')],
      [
        'a handshake that goes on byte by byte',
        (client, hello) => {
          let at = 0;
          const timer = setInterval(() => client.send(hello.subarray(at, ++at)), 100);
          client.socket.once('close', () => clearInterval(timer));
        },
      ],
    ];
    for (const [name, send] of slow) {
      for (const wantsChallenge of [false, true]) {
        it(`${name}${wantsChallenge ? ', while a challenge is awaited' : ''}`, async (t) => {
          const challenges = { onAlpn: wantsChallenge ? () => assert.fail('no challenge') : undefined };
          const { port, server } = await listen(t, config, challenges);
          const client = await RawClient.open(t, port);
          send(client, await clientHello(t));
          await client.closed();
          assert.doesNotMatch(client.pending, /200/);
          assert.equal(await connections(server), 0);
        });
      }
    }

    it('an encrypted connection without a request', async (t) => {
      const { port, server } = await listen(t, config);
      const socket = await openTls(t, port);
      socket.resume();
      await once(socket, 'close');
      assert.equal(await connections(server), 0);
    });

    it('a challenge that is never answered', async (t) => {
      const taken = Promise.withResolvers<Socket>();
      const { port } = await listen(t, config, { onAlpn: taken.resolve });
      const client = await RawClient.open(t, port);
      client.send(await clientHello(t, { ALPNProtocols: ['acme-tls/1'] }));
      await taken.promise;
      await client.closed();
    });

    it('and nothing else: who is open for requests stays', async (t) => {
      const { port } = await listen(t, config);
      const encrypted = await openTls(t, port);
      const plain = await RawClient.open(t, port);
      for (let i = 0; i < 3; i++) {
        encrypted.write(get);
        assert.equal(await answerOn(encrypted), 'encrypted');
        plain.send(get);
        assert.equal((await plain.response()).text, 'plain');
        await new Promise((resolve) => setTimeout(resolve, config.headersTimeoutMs / 2));
      }
    });
  });

  it('hands a challenge on with every byte in place, and everything else not', async (t) => {
    const taken = Promise.withResolvers<Socket>();
    const { port } = await listen(t, {}, { onAlpn: taken.resolve });
    await openTls(t, port);
    const hello = await clientHello(t, { ALPNProtocols: ['acme-tls/1'] });
    const client = await RawClient.open(t, port);
    client.socket.setNoDelay(true);
    for (const byte of hello) {
      client.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual((await taken.promise).read(), hello);
  });

  it('stops at once, whatever new connections are up to', async (t) => {
    const { port, server, open } = await listen(t, {}, { onAlpn: () => {} });
    const hello = await clientHello(t);
    const beginnings: readonly (string | Buffer)[] = [
      '',
      hello.subarray(0, 3),
      hello.subarray(0, 100),
      hello,
      await clientHello(t, { ALPNProtocols: ['acme-tls/1'] }),
      'GET / HTTP/1.1\r\n',
    ];
    const clients = await Promise.all(
      beginnings.map(async (beginning) => {
        const client = await RawClient.open(t, port);
        client.send(beginning);
        return client;
      }),
    );
    await clients[3]?.has('\x16\x03\x03');
    const quiet = await openTls(t, port);
    quiet.resume();
    while (open.length < 2) await new Promise((resolve) => setImmediate(resolve));
    await close(server);
    await Promise.all([...clients.map((client) => client.closed()), quiet.closed || once(quiet, 'close')]);
  });

  it('leaves requests under way alone when it stops', async (t) => {
    const held = Promise.withResolvers<ServerResponse>();
    const { port, server } = await listen(t, {}, undefined, (_req, res) => held.resolve(res));
    const socket = await openTls(t, port);
    socket.write(get);
    const res = await held.promise;
    const closed = close(server);
    res.end('encrypted');
    assert.equal(await answerOn(socket), 'encrypted');
    socket.end();
    await closed;
  });

  it('survives everything that a handshake is not', async (t) => {
    const { port } = await listen(t, {}, { onAlpn: () => {} });
    const hello = await clientHello(t);
    const nonsense: readonly Buffer[] = [
      Buffer.from('\x16'),
      Buffer.from('\x16\x03\x01\xff\xff', 'latin1'),
      Buffer.from('\x16\x03\x01\x00\x00', 'latin1'),
      Buffer.concat([hello.subarray(0, 60), Buffer.alloc(hello.length, 255)]),
      Buffer.from('\x80\x2e\x01\x00\x02', 'latin1'),
      Buffer.from('\x15\x03\x01\x00\x02\x02\x28', 'latin1'),
      Buffer.concat([hello, hello]),
      Buffer.alloc(20_000, 22),
      Buffer.alloc(100_000, 0),
      Buffer.from('HELP\r\n\r\n'),
    ];
    for (const end of ['end', 'resetAndDestroy'] as const) {
      for (const bytes of nonsense) {
        const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
        t.after(() => socket.destroy());
        socket.on('error', () => {}).resume();
        await once(socket, 'connect');
        socket.write(bytes);
        await new Promise((resolve) => setImmediate(resolve));
        socket[end]();
        if (!socket.closed) await once(socket, 'close');
      }
    }
    const socket = await openTls(t, port);
    socket.write(get);
    assert.equal(await answerOn(socket), 'encrypted');
  });

  it('answers a failed handshake with an alert, and not with HTTP', async (t) => {
    const { port } = await listen(t);
    const client = await RawClient.open(t, port);
    const hello = await clientHello(t);
    // The version that it asks for at least, in the record and in the handshake.
    client.send(Buffer.concat([hello.subarray(0, 9), Buffer.from([3, 0]), Buffer.alloc(hello.length, 1)]));
    await client.closed();
    assert.doesNotMatch(client.pending, /HTTP/);
    assert.equal(client.pending.charCodeAt(0), 0x15);
  });

  it('counts connections from the first byte on', async (t) => {
    const { port, server } = await listen(t);
    server.maxConnections = 2;
    const first = await RawClient.open(t, port);
    await RawClient.open(t, port);
    const third = await RawClient.open(t, port);
    await third.closed();
    first.socket.destroy();
    while ((await connections(server)) > 1) await new Promise((resolve) => setImmediate(resolve));
    await openTls(t, port);
  });

  it('without a certificate refuses TLS, and tells so over plain HTTP', async (t) => {
    const config = parseConfig({ host: '127.0.0.1', port: 0, upstream: 'http://127.0.0.1:1', tls: { mode: 'auto' } });
    const server = createListener(config, { onRequest: tellWay, onConnection: () => {} }, { onAlpn: undefined });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => close(server));
    const { port } = server.address() as AddressInfo;
    await assert.rejects(openTls(t, port), /handshake failure/i);
    const plain = await RawClient.open(t, port);
    plain.send(get);
    assert.equal((await plain.response()).text, 'plain');
    plain.socket.destroy();
  });
});

function connections(server: HttpsServer): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
}
