import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** Stands before an upstream and counts. */
export interface Relay {
  readonly url: string;
  /** Requests whose last byte of answer was not handed on yet, at most at any moment. */
  readonly mostAtOnce: number;
  readonly requests: number;
}

/**
 * Passes everything on to an upstream, and counts how much it is given at once: exactly, because a request counts until
 * just before the end of its answer leaves. It stops with the test.
 */
export async function startRelay(t: TestContext, upstream: string): Promise<Relay> {
  const counts = { running: 0, mostAtOnce: 0, requests: 0 };
  const server = createServer((req, res) => {
    counts.requests += 1;
    counts.running += 1;
    counts.mostAtOnce = Math.max(counts.mostAtOnce, counts.running);
    let over = () => {
      over = () => {};
      counts.running -= 1;
    };
    const { method, headers } = req;
    const onward = request(`${upstream}${req.url}`, { method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.on('data', (data: Buffer) => res.write(data));
      answer.on('end', () => {
        over();
        res.end();
      });
    });
    res.once('close', () => {
      over();
      onward.destroy();
    });
    onward.on('error', () => res.destroy());
    req.pipe(onward);
  });
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 });
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get mostAtOnce() {
      return counts.mostAtOnce;
    },
    get requests() {
      return counts.requests;
    },
  };
}
