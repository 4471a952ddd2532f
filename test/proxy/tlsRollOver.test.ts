// A newer certificate takes the place of the one before while streams run: none of them notices, everybody else does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { createCertificates, loopbackNames } from '../support/certificates.ts';
import { without } from '../support/debian.ts';
import { startFakeOllama } from '../support/fakeOllama.ts';
import { startGuard, type TestGuard } from '../support/guard.ts';
import { team } from '../support/people.ts';
import { RawClient } from '../support/rawClient.ts';
import { address } from '../unit/tls/computer.ts';

const streams = 64;
/** All of them are to run at once. */
const policy = { queue: { concurrency: streams } };
const versions = ['TLSv1.2', 'TLSv1.3'] as const;

/** Addresses of an interface that this computer seems to have; auto.ts is loaded by the first guard, so it asks here. */
let appeared: readonly string[] = [];
const { networkInterfaces } = os;
os.networkInterfaces = () => ({ ...networkInterfaces(), test0: appeared.map(address) });
syncBuiltinESMExports();

/** What a connection of its own sees. */
interface Visit {
  readonly serialNumber: string;
  readonly isResumed: boolean;
  /** To come back with. */
  readonly session: Buffer;
}

/** Connects, with a session of an earlier visit if there is one, and has one request answered. */
async function visit(
  port: number,
  ca: string,
  version: (typeof versions)[number],
  more: ConnectionOptions = {},
): Promise<Visit> {
  const options = { host: '127.0.0.1', port, ca, minVersion: version, maxVersion: version, ...more };
  const socket: TLSSocket = connect(options);
  const session = once(socket, 'session');
  await once(socket, 'secureConnect');
  const isResumed = socket.isSessionReused();
  const { serialNumber } = socket.getPeerCertificate();
  socket.write(`GET /_guard/health HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  const [[text]] = await Promise.all([once(socket, 'data'), isResumed ? [] : session]);
  assert.match(String(text), /^HTTP\/1\.1 200 /);
  const visited = { serialNumber, isResumed, session: socket.getSession() ?? Buffer.alloc(0) };
  socket.destroy();
  return visited;
}

/** Swaps the certificate under live streams, and looks at both. */
async function rollOver(
  t: TestContext,
  upstream: Awaited<ReturnType<typeof startFakeOllama>>,
  guard: TestGuard,
  ca: string,
  swap: () => void,
): Promise<void> {
  upstream.answer = (reply) => {
    reply.stream();
    reply.chunk('{"record":0}\n');
  };
  const clients = await Promise.all(Array.from({ length: streams }, () => RawClient.open(t, guard.port, { ca })));
  for (const client of clients) {
    client.send({
      method: 'POST',
      path: '/api/chat',
      headers: { authorization: team.mia.bearer },
      body: '{"model":"m"}',
    });
  }
  await Promise.all(clients.map((client) => client.has('{"record":0}')));

  const before = await Promise.all(versions.map((version) => visit(guard.port, ca, version)));
  // Sessions are resumed as long as the certificate is the same: else the last look here would prove nothing.
  for (const [index, version] of versions.entries()) {
    const again = await visit(guard.port, ca, version, { session: before[index]?.session });
    assert.equal(again.isResumed, true, version);
  }

  swap();
  await guard.isDescribed(() => true);
  for (const [index, version] of versions.entries()) {
    const fresh = await visit(guard.port, ca, version);
    assert.notEqual(fresh.serialNumber, before[index]?.serialNumber, version);
    const comesBack = await visit(guard.port, ca, version, { session: before[index]?.session });
    assert.deepEqual([comesBack.isResumed, comesBack.serialNumber], [false, fresh.serialNumber], version);
  }

  for (let stream = 0; stream < streams; stream += 1) {
    const reply = await upstream.reply(stream);
    reply.chunk('{"record":1}\n');
    reply.end();
  }
  for (const client of clients) {
    const { complete, text } = await client.response();
    assert.deepEqual([complete, text], [true, '{"record":0}\n{"record":1}\n']);
    assert.equal((client.socket as TLSSocket).getPeerCertificate().serialNumber, before[0]?.serialNumber);
    // And the connection is good for the next request.
    client.send({ path: '/_guard/health' });
    assert.equal((await client.response()).status, 200);
  }
}

describe(`a newer certificate under ${streams} streams`, () => {
  it('comes from files', { skip: without('openssl') }, async (t) => {
    const folder = mkdtempSync(join(os.tmpdir(), 'ollama-guard-roll-over-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const certificates = createCertificates(t);
    const [first, second] = [certificates.sign(...loopbackNames), certificates.sign(...loopbackNames)];
    const tls = { mode: 'files', certificate: join(folder, 'own.pem'), key: join(folder, 'own.key') } as const;
    const put = ({ certificate, key }: typeof first) => {
      copyFileSync(certificate, tls.certificate);
      copyFileSync(key, tls.key);
    };
    put(first);
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { config: { tls, policy } });
    const { publicKeyPin } = guard.guard.tls ?? {};
    await rollOver(t, upstream, guard, certificates.ca, () => put(second));
    assert.notEqual(guard.guard.tls?.publicKeyPin, publicKeyPin);
    assert.deepEqual(guard.described, [guard.guard.tls]);
  });

  it("comes of this installation's authority, after an address appeared", async (t) => {
    const upstream = await startFakeOllama(t);
    const guard = await startGuard(t, upstream, { config: { tls: { mode: 'auto' }, policy } });
    const { anchor, publicKeyPin } = guard.guard.tls ?? {};
    await rollOver(t, upstream, guard, anchor?.pem ?? '', () => {
      appeared = ['203.0.113.9'];
    });
    // What teammates pinned stays.
    assert.deepEqual([guard.guard.tls?.anchor, guard.guard.tls?.publicKeyPin], [anchor, publicKeyPin]);
    const socket = connect({ host: '127.0.0.1', port: guard.port, ca: anchor?.pem });
    await once(socket, 'secureConnect');
    assert.match(socket.getPeerCertificate().subjectaltname ?? '', /IP Address:203\.0\.113\.9/);
    socket.destroy();
  });
});
