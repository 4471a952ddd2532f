// Worker: an upstream that reads bodies to their end, and a client that uploads a large one through a guard.
// Sends its upstream's port, then the status of each answer and how many bytes of the body the upstream got.
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parentPort } from 'node:worker_threads';

let bytes = 0;
const upstream = createServer((req, res) => {
  req.on('data', (data: Buffer) => {
    bytes += data.length;
  });
  req.on('end', () => res.end('{"done":true}'));
});
upstream.listen(0, '127.0.0.1', () => parentPort?.postMessage({ port: (upstream.address() as AddressInfo).port }));

/** What to upload where. */
export interface Upload {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly head: string;
  /** How many bytes of an image are between head and tail. */
  readonly imageBytes: number;
  readonly tail: string;
}

parentPort?.on('message', ({ url, headers, head, imageBytes, tail }: Upload) => {
  bytes = 0;
  const req = request(url, { method: 'POST', headers }, (res) => {
    res.resume();
    res.on('end', () => parentPort?.postMessage({ status: res.statusCode, bytes }));
  });
  req.end(Buffer.concat([Buffer.from(head), Buffer.alloc(imageBytes, 'QUJD'), Buffer.from(tail)]));
});
