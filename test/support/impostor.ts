import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { TestCertificates } from './certificates.ts';

/** Somebody who answers in an endpoint's place. */
export interface Impostor {
  readonly port: number;
  /** Everything that was sent to it, decrypted. */
  readonly heard: () => string;
  /** How many connections it took. */
  readonly connections: () => number;
}

/** What an impostor may choose. */
export interface ImpostorOptions {
  /** What it proves itself with; in the clear when left out. */
  readonly tls?: ReturnType<TestCertificates['sign']>;
  readonly port?: number;
  readonly host?: string;
  /** Replaces its answer to everything, 200 and an empty object. */
  readonly answer?: (req: IncomingMessage, res: ServerResponse) => void;
}

/** Starts an impostor, which ends with the test. */
export async function startImpostor(t: TestContext, options: ImpostorOptions): Promise<Impostor> {
  const { tls, port = 0, host = '127.0.0.1', answer = (_req, res) => res.end('{}') } = options;
  let heard = '';
  let connections = 0;
  const onRequest = (req: IncomingMessage, res: ServerResponse) => {
    heard += `${req.method} ${req.url} ${req.rawHeaders.join(' ')}\n`;
    req.setEncoding('utf8').on('data', (text: string) => {
      heard += text;
    });
    req.on('end', () => answer(req, res));
  };
  const server =
    tls === undefined
      ? createServer(onRequest)
      : createTlsServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, onRequest);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
  });
  // What a client sends after a handshake that it then refuses would be heard here too.
  server.on('secureConnection', (socket: Socket) => {
    socket.on('data', (bytes: Buffer) => {
      heard += bytes.toString('latin1');
    });
    socket.on('error', () => {});
  });
  server.on('tlsClientError', () => {});
  server.listen(port, host);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, heard: () => heard, connections: () => connections };
}
