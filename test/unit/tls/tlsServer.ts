import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { type ConnectionOptions, connect, createServer, type PeerCertificate } from 'node:tls';
import type { Certificate } from '../../../src/guard/tls/certificate.ts';

/** A server of a certificate, which answers every request with 200 and ends with the test. Gives its port. */
export async function serve(t: TestContext, { chain, key }: Certificate): Promise<number> {
  const server = createServer({ cert: chain, key }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'));
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '::');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** How a handshake with a server went: the certificate it presented, or the error in words. */
export async function handshake(options: ConnectionOptions): Promise<PeerCertificate | string> {
  const socket = connect(options);
  return new Promise((resolve) => {
    socket.once('error', (error) => resolve(error.message));
    socket.once('secureConnect', () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
  });
}
