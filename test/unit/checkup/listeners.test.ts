import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { basename } from 'node:path';
import { describe, it, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { listenersOn } from '../../../src/checkup/listeners.ts';
import { parseLsof, parseNetstat, parseProcNet, parseTasklist, readable } from '../../../src/checkup/listenerTables.ts';

const onLinux = { skip: process.platform !== 'linux' };

describe('/proc/net/tcp', () => {
  const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 1677 1 00000000d1edfde7 100 0 0 10 0
   1: 0300007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 30782 1 00000000a598d502 100 0 0 10 0
   2: 0100007F:2CAB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 30790 1 00000000a598d503 100 0 0 10 0
   3: 0501A8C0:2CAA 0901A8C0:D431 01 00000000:00000000 00:00000000 00000000     0        0 30799 1 00000000a598d504 20 4 30 10 -1
`;
  const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:2CAA 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41 1 000000008ffa6633 100 0 0 10 0
   1: 00000000000000000000000001000000:2CAA 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 42 1 000000008ffa6634 100 0 0 10 0
   2: 0000000000000000FFFF00000501A8C0:2CAA 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 43 1 000000008ffa6635 100 0 0 10 0
   3: B80D01200000000000000000EFCD0000:2CAA 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 44 1 000000008ffa6636 100 0 0 10 0
`;

  it('gives the addresses that listen on a port, with owner and inode', () => {
    assert.deepEqual(parseProcNet(tcp, 11434), [
      { address: '0.0.0.0', uid: 998, inode: '1677' },
      { address: '127.0.0.3', uid: 0, inode: '30782' },
    ]);
    assert.deepEqual(parseProcNet(tcp, 80), []);
  });

  it('gives IPv6 addresses in their usual form', () => {
    const addresses = parseProcNet(tcp6, 11434).map(({ address }) => address);
    assert.deepEqual(addresses, ['::', '::1', '192.168.1.5', '2001:db8::cdef']);
  });
});

describe('lsof', () => {
  it('gives addresses, process and program', () => {
    const text =
      'p812\ncollama\nf3\ntIPv6\nn*:11434\nf4\ntIPv4\nn127.0.0.1:11434\np90\ncCode\\x20Helper\ntIPv4\nn*:11434\n';
    assert.deepEqual(parseLsof(text), [
      { address: '::', pid: 812, program: 'ollama' },
      { address: '127.0.0.1', pid: 812, program: 'ollama' },
      { address: '0.0.0.0', pid: 90, program: 'Code Helper' },
    ]);
    assert.deepEqual(parseLsof('p6465\ncnode\ntIPv6\nn[::1]:45871\n'), [
      { address: '::1', pid: 6465, program: 'node' },
    ]);
  });
});

describe('netstat and tasklist', () => {
  const text = [
    '',
    'Aktive Verbindungen',
    '',
    '  Proto  Lokale Adresse         Remoteadresse          Status           PID',
    '  TCP    0.0.0.0:11434          0.0.0.0:0              ABHÖREN          4321',
    '  TCP    127.0.0.1:11434        127.0.0.1:50000        HERGESTELLT      4321',
    '  TCP    127.0.0.1:11435        0.0.0.0:0              ABHÖREN          77',
    '  TCP    [::]:11434             [::]:0                 ABHÖREN          4321',
    '  UDP    0.0.0.0:11434          *:*                                     5',
  ].join('\r\n');

  it('give who listens in any language of Windows', () => {
    assert.deepEqual(parseNetstat(text, 11434), [
      { address: '0.0.0.0', pid: 4321 },
      { address: '::', pid: 4321 },
    ]);
  });

  it('give the program of a process, or none', () => {
    assert.equal(parseTasklist('"ollama.exe","4321","Console","1","123.456 K"\r\n'), 'ollama.exe');
    assert.equal(parseTasklist('INFORMATION: Es werden keine Aufgaben ausgeführt.\r\n'), undefined);
  });
});

it('no text makes a parser throw', () => {
  const hex = fc.stringMatching(/^[0-9A-F]{0,34}$/);
  const row = hex.map((address) => `0: ${address}:0050 0:0 0A 0 0 0 0 0 7`);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        row,
        hex.map((name) => `n${name}:80`),
      ),
      (text) => {
        parseProcNet(text, 80);
        parseLsof(text);
        parseNetstat(text, 80);
        parseTasklist(text);
      },
    ),
  );
});

it('a program cannot bring markup or lines into a sentence', () => {
  assert.equal(readable('a [b](command:c)\n$(d)'), 'a ?b??command?c????d?');
  assert.equal(readable('x'.repeat(500)).length, 100);
});

test('on Linux, a program that listens is found with its addresses', onLinux, async (t) => {
  const { port, pid } = await listenElsewhere(t);
  const found = await listenersOn(port);
  const program = basename(process.execPath);
  assert.deepEqual(
    found.toSorted((one, other) => one.address.localeCompare(other.address)),
    [
      { address: '::1', pid, program },
      { address: '127.0.0.3', pid, program },
    ].toSorted((one, other) => one.address.localeCompare(other.address)),
  );
});

test('nobody is found on a port without a listener, nor on one that is none', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  assert.deepEqual(await listenersOn(port), []);
  assert.deepEqual(await listenersOn(Number.NaN), []);
});

/** A child process that listens on 127.0.0.3 and ::1, on one port that is free on both. */
async function listenElsewhere(t: TestContext): Promise<{ readonly port: number; readonly pid: number }> {
  const script = `
    const { createServer } = require('node:net');
    const { once } = require('node:events');
    (async () => {
      for (;;) {
        const four = createServer().listen(0, '127.0.0.3');
        await once(four, 'listening');
        const six = createServer().listen(four.address().port, '::1');
        try {
          await once(six, 'listening');
          process.stdout.write(String(four.address().port));
          return;
        } catch {
          four.close();
        }
      }
    })();`;
  const child = spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  return { port: Number(port), pid: child.pid ?? 0 };
}
