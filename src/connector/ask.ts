import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import type { SecureContextOptions } from 'node:tls';

/** Answered by every endpoint, to everyone. */
export const healthPath = '/_guard/health';

/** A question of the connector's own to an endpoint. */
export interface Question {
  readonly path: string;
  /** A value to POST as JSON; a GET when left out. */
  readonly json?: unknown;
  /** Holds the connection; a connection of its own when left out. */
  readonly agent?: Agent;
  /** What the endpoint's certificate is held against; everything the system trusts when left out. */
  readonly tls?: SecureContextOptions & Pick<RequestOptions, 'rejectUnauthorized'>;
  /** Ends the question, also while its answer is being read. */
  readonly signal: AbortSignal;
}

/**
 * Asks an endpoint. Redirects are not followed: nothing goes where the invite does not lead. Rejects when there is no
 * answer.
 *
 * @param address such as `https://192.168.1.5:11435`.
 */
export function ask(address: string, { path, json, agent, tls, signal }: Question): Promise<IncomingMessage> {
  const body = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
  const options: RequestOptions = {
    // Said here, because an environment variable would switch it off: NODE_TLS_REJECT_UNAUTHORIZED.
    rejectUnauthorized: true,
    ...tls,
    agent: agent ?? false,
    signal,
    ...(body && { method: 'POST', headers: { 'content-type': 'application/json', 'content-length': body.length } }),
  };
  const url = new URL(path, address);
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  // 'close' also ends what no error tells of: an answer of 101, which nobody asked for.
  const closed = () => reject(new Error('the connection was closed without an answer'));
  request(url, options, resolve).on('error', reject).once('close', closed).end(body);
  return promise;
}
