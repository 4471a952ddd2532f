// Worker: an upstream that writes a record every 10 ms, and a client that measures how evenly they arrive through a guard.
// Sends its upstream's port, then a word when the stream runs, then the longest gap between two records once all came.
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parentPort } from 'node:worker_threads';

const intervalMs = 10;
const records = 100;
const record = '{"response":"x"}\n';

const upstream = createServer((req, res) => {
  if (req.url === '/api/tags') {
    res.end('{"models":[]}');
    return;
  }
  let left = records;
  const timer = setInterval(() => {
    res.write(record);
    left -= 1;
    if (left > 0) return;
    clearInterval(timer);
    res.end();
  }, intervalMs);
});
upstream.listen(0, '127.0.0.1', () => parentPort?.postMessage({ port: (upstream.address() as AddressInfo).port }));

parentPort?.on('message', ({ url, authorization }: { readonly url: string; readonly authorization: string }) => {
  const req = request(`${url}/api/generate`, { method: 'POST', headers: { authorization } }, (res) => {
    let last: number | undefined;
    let longestGapMs = 0;
    let received = '';
    res.on('data', (data) => {
      received += data;
      const now = performance.now();
      if (last === undefined) parentPort?.postMessage({});
      else longestGapMs = Math.max(longestGapMs, now - last);
      last = now;
    });
    res.on('end', () => {
      if (received !== record.repeat(records)) throw new Error(`not the stream: ${received}`);
      parentPort?.postMessage({ longestGapMs });
    });
  });
  req.end('{"model":"m"}');
});
