import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { type Authorization, crypto } from 'acme-client';
import { GuardError, systemErrorCode } from '../errors.ts';
import type { Challenges } from './source.ts';
import type { TlsConfigOf } from './tlsConfig.ts';

/** Whoever asks gets this long for all of it, in milliseconds. */
const answerTimeoutMs = 10_000;

/** Directories ask from a handful of places at once. */
const maxHttpConnections = 64;

/** Shows a directory that this endpoint has the domain. */
export interface Responder {
  /**
   * Answers one challenge from now on; the one before no longer.
   *
   * @param keyAuthorization what is to be shown: RFC 8555 §8.1. It is no secret.
   */
  answer(authorization: Authorization, token: string, keyAuthorization: string): Promise<void>;
  /** Answers nothing any more. */
  close(): void;
}

/**
 * Gets ready to answer challenges of the configured kind.
 *
 * @throws GuardError what stands in the way of listening for `http-01`.
 */
export function openResponder(config: TlsConfigOf<'acme'>, challenges: Challenges): Promise<Responder> {
  return responders[config.challenge](config, challenges);
}

const responders = { 'tls-alpn-01': openAlpn, 'http-01': openHttp } as const;

/**
 * `tls-alpn-01`: a handshake whose certificate is the answer, and nothing behind it (RFC 8737 §3). The connections are
 * the listener's own, so this server never listens.
 */
async function openAlpn(_config: TlsConfigOf<'acme'>, challenges: Challenges): Promise<Responder> {
  const sockets = new Set<Socket>();
  return {
    answer: async (authorization, _token, keyAuthorization) => {
      const ownKey = await crypto.createPrivateEcdsaKey();
      const [key, cert] = await crypto.createAlpnCertificate(authorization, keyAuthorization, ownKey);
      const server = createTlsServer({ ALPNProtocols: ['acme-tls/1'], minVersion: 'TLSv1.2', key, cert });
      server.on('secureConnection', (socket) => socket.end());
      server.on('tlsClientError', (_error, socket) => socket.destroy());
      challenges.onAlpn = (socket) => {
        const tooLate = setTimeout(() => socket.destroy(), answerTimeoutMs);
        sockets.add(socket);
        socket.on('error', () => socket.destroy());
        socket.once('close', () => {
          clearTimeout(tooLate);
          sockets.delete(socket);
        });
        server.emit('connection', socket);
      };
    },
    close: () => {
      challenges.onAlpn = undefined;
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** `http-01`: one path of a plain HTTP server on every address, which is there while an order is: RFC 8555 §8.3. */
async function openHttp({ httpPort }: TlsConfigOf<'acme'>): Promise<Responder> {
  let expected: { readonly path: string; readonly answer: string } | undefined;
  const limits = {
    headersTimeout: answerTimeoutMs,
    requestTimeout: answerTimeoutMs,
    connectionsCheckingInterval: 1_000,
  };
  const server = createHttpServer(limits, ({ method, url }, res) => {
    const found = method === 'GET' && url === expected?.path ? expected : undefined;
    res.writeHead(found === undefined ? 404 : 200, {
      'content-type': found === undefined ? 'text/plain' : 'application/octet-stream',
      connection: 'close',
    });
    res.end(found?.answer);
  });
  server.maxConnections = maxHttpConnections;
  await once(server.listen({ port: httpPort }), 'listening').catch((cause: unknown) => {
    throw cannotListen(httpPort, cause);
  });
  return {
    answer: async (_authorization, token, keyAuthorization) => {
      expected = { path: `/.well-known/acme-challenge/${token}`, answer: keyAuthorization };
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function cannotListen(port: number, cause: unknown): GuardError {
  const reason = systemErrorCode(cause) ?? String(cause);
  const options = { args: { port, reason }, cause };
  if (reason === 'EACCES') {
    return new GuardError(
      'address-not-permitted',
      'This user may not listen on port {port} for the http-01 challenge. Permit it, or forward port 80 to a port of 1024 or above and choose that one, or choose tls-alpn-01.',
      options,
    );
  }
  if (reason === 'EADDRINUSE') {
    return new GuardError(
      'address-in-use',
      'Port {port}, for the http-01 challenge, is in use by another program. Stop that program, or forward port 80 to another port and choose that one, or choose tls-alpn-01.',
      options,
    );
  }
  return new GuardError(
    'address-not-available',
    'Port {port} cannot be listened on for the http-01 challenge ({reason}). Choose another port, or tls-alpn-01.',
    options,
  );
}
