import { createConnection, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { keyExchange } from './clients.ts';
import { microseconds, millisecondsSince } from './clock.ts';
import { type CoreUse, isWhole, observe } from './load.ts';
import type { RunningProxy } from './proxies.ts';
import type { Bench } from './row.ts';
import { percentile } from './stats.ts';

/** How each connection begins: without TLS, with a full handshake, or with the ticket of a session before. */
export type Beginning = 'plain' | 'full' | 'resumed';

/** What one stretch of new connections found. */
export interface ConnectionResult extends CoreUse {
  readonly perSecond: number;
  /** Microseconds of the proxy's CPU time for each connection, from its first byte to its end. */
  readonly cpuEach: number;
  /** Milliseconds from connecting to the end of the answer. */
  readonly p50: number;
}

const atOnce = 32;

/**
 * New connections as fast as they come to an end, 32 at once, each with one authenticated request. Every certificate is
 * verified, every answer must be 200, and every session must have begun as it was asked for.
 *
 * @throws Error what was not so.
 */
export async function connectAgain(
  bench: Bench,
  proxy: RunningProxy,
  beginning: Beginning,
  seconds: number,
): Promise<ConnectionResult> {
  const client = new Client(proxy, beginning);
  // Gets the first ticket.
  await client.ask();
  const times: number[] = [];
  const started = microseconds();
  const one = async (): Promise<void> => {
    while (millisecondsSince(started) < seconds * 1000) {
      bench.signal.throwIfAborted();
      const sent = microseconds();
      const resumed = await client.ask();
      if (resumed !== (beginning === 'resumed')) {
        throw new Error(`${proxy.kind} ${resumed ? 'resumed a session that was not offered' : 'did not resume'}.`);
      }
      times.push(millisecondsSince(sent));
    }
  };
  const use = await observe(bench, proxy.pid, async () => {
    await Promise.all(Array.from({ length: atOnce }, one));
    return { perSecond: (times.length * 1000) / millisecondsSince(started) };
  });
  return { ...use, cpuEach: (use.cpu * 1000) / times.length, p50: percentile(times, 0.5) };
}

/** Node's own sockets without its HTTP client, whose pool would keep sessions and connections as it likes. */
class Client {
  readonly #kind: string;
  readonly #to: { readonly host: string; readonly port: number };
  readonly #request: string;
  readonly #beginning: Beginning;
  readonly #context: SecureContext | undefined;
  #ticket: Buffer | undefined;

  constructor({ kind, url, authorization, ca }: RunningProxy, beginning: Beginning) {
    const { hostname, port, host } = new URL(url);
    this.#kind = kind;
    this.#to = { host: hostname, port: Number(port) };
    this.#request = [
      'GET /api/tags HTTP/1.1',
      `Host: ${host}`,
      `Authorization: ${authorization}`,
      'Connection: close',
      '\r\n',
    ].join('\r\n');
    this.#beginning = beginning;
    this.#context =
      ca === undefined ? undefined : createSecureContext({ ca, minVersion: 'TLSv1.3', ecdhCurve: keyExchange });
  }

  /** One connection with one request; answers whether its session was resumed. */
  ask(): Promise<boolean> {
    return this.#context === undefined ? this.#converse(createConnection(this.#to), 'connect') : this.#askEncrypted();
  }

  async #askEncrypted(): Promise<boolean> {
    const session = this.#beginning === 'resumed' ? this.#ticket : undefined;
    const socket = connectTls({ ...this.#to, secureContext: this.#context, session });
    socket.on('session', (ticket) => {
      this.#ticket = ticket;
    });
    let resumed = false;
    socket.once('secureConnect', () => {
      resumed = socket.isSessionReused();
    });
    await this.#converse(socket, 'secureConnect');
    return resumed;
  }

  #converse(socket: Socket | TLSSocket, ready: 'connect' | 'secureConnect'): Promise<false> {
    return new Promise((resolve, reject) => {
      let answer = '';
      socket.setEncoding('latin1');
      socket.setTimeout(20_000, () => socket.destroy(new Error('no answer for 20 s')));
      socket.once(ready, () => socket.write(this.#request));
      socket.on('data', (chunk: string) => {
        answer += chunk;
      });
      socket.once('error', reject);
      socket.once('close', () => {
        if (answer.startsWith('HTTP/1.1 200 ') && isWhole(answer)) resolve(false);
        else reject(new Error(`${this.#kind} answered: ${answer.slice(0, 60) || 'nothing'}`));
      });
    });
  }
}
