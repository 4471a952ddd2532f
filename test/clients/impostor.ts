/** A man in the middle: an endpoint that says it is the one a snippet is for, with a certificate of its own making. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createServer } from 'node:tls';
import { endpointUrl } from '../../src/guard/config.ts';
import type { Trust } from '../../src/guard/share/trust.ts';

/** What a man in the middle sees. */
export interface Impostor {
  readonly url: string;
  /** How many connections came. */
  connections: number;
  /** All that came through TLS, in clear. */
  received: string;
}

/** Takes TLS connections at an address, in the name of an endpoint; it ends with the test. Needs openssl. */
export async function startImpostor(t: TestContext, trust: Trust, host: string): Promise<Impostor> {
  const server = createServer(forge(trust), (socket) => {
    socket.on('error', () => {});
    socket.setEncoding('latin1').on('data', (text: string) => {
      impostor.received += text;
      socket.destroy();
    });
  });
  const sockets = new Set<Socket>();
  server.on('tlsClientError', () => {});
  server.on('connection', (socket: Socket) => {
    impostor.connections += 1;
    sockets.add(socket);
  });
  await once(server.listen(0, host), 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const impostor: Impostor = {
    url: endpointUrl(host, (server.address() as AddressInfo).port, 'https'),
    connections: 0,
    received: '',
  };
  return impostor;
}

/** A certificate for the same addresses, from an authority that has the same name as the one that is trusted. */
function forge({ pem }: Trust): { readonly cert: string; readonly key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'ollama-guard-impostor-'));
  try {
    const name = `/${new X509Certificate(pem).subject.split('\n').join('/')}`;
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    const newKey = (file: string) => [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-noenc',
      '-keyout',
      file,
    ];
    const add = (...extensions: string[]) => extensions.flatMap((extension) => ['-addext', extension]);
    openssl(
      ...['req', '-x509', ...newKey('ca.key'), '-out', 'ca.pem', '-days', '2', '-subj', name],
      ...add('keyUsage=critical,keyCertSign'),
    );
    openssl(
      ...['req', '-x509', '-CA', 'ca.pem', '-CAkey', 'ca.key', ...newKey('leaf.key'), '-out', 'leaf.pem'],
      ...['-days', '2', '-subj', '/CN=localhost'],
      ...add('basicConstraints=critical,CA:FALSE', 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'),
    );
    const read = (file: string) => readFileSync(join(folder, file), 'utf8');
    return { cert: read('leaf.pem') + read('ca.pem'), key: read('leaf.key') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
