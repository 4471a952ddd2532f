/**
 * The upstream of every proxy under test: an Ollama that does no work. Runs as a child (see upstreamProcess.ts).
 *
 * - `GET /api/tags`: an answer made beforehand.
 * - `POST /api/generate`: the prompt says what to stream. `stream COUNT EVERY` sends COUNT records, the first at once,
 *   the next after a random part of EVERY ms and then one each EVERY ms, so that 128 streams do not tick together.
 *   `hold` sends one record and then one for each `tick` message of the parent.
 *   Every record carries the time at which it was written.
 * - `POST /api/blobs/…`: as `/api/generate`, so that a route whose body is not read can be compared with one whose is.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { microseconds } from './clock.ts';

const models = ['llama3.2:3b', 'qwen2.5-coder:7b', 'nomic-embed-text:latest'].map((name, index) => ({
  name,
  model: name,
  modified_at: '2026-08-01T12:00:00.000000000Z',
  size: 2019393189 + index,
  digest: 'a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72',
  details: {
    parent_model: '',
    format: 'gguf',
    family: 'llama',
    families: ['llama'],
    parameter_size: '3.2B',
    quantization_level: 'Q4_K_M',
  },
}));
const tags = Buffer.from(JSON.stringify({ models }));
const tagsHead = { 'content-type': 'application/json; charset=utf-8', 'content-length': tags.length };

const held = new Set<ServerResponse>();

function record(done: boolean): string {
  const end = done ? '"done":true,"done_reason":"stop","prompt_eval_count":5,"eval_count":60' : '"done":false';
  return `{"model":"bench","created_at":"2026-08-01T12:00:00Z","response":" token",${end},"sent":${microseconds()}}\n`;
}

function stream(res: ServerResponse, count: number, every: number): void {
  let left = count - 1;
  let timer: NodeJS.Timeout | undefined;
  const next = (): void => {
    left -= 1;
    if (left > 0) res.write(record(false));
    else res.end(record(true));
  };
  if (left === 0) {
    res.end(record(true));
    return;
  }
  res.write(record(false));
  timer = setTimeout(() => {
    next();
    if (left > 0) {
      timer = setInterval(() => {
        next();
        if (left <= 0) clearInterval(timer);
      }, every);
    }
  }, Math.random() * every);
  res.once('close', () => clearTimeout(timer));
}

function hold(res: ServerResponse): void {
  held.add(res);
  res.once('close', () => held.delete(res));
  res.write(record(false));
}

function generate(req: IncomingMessage, res: ServerResponse): void {
  let body = '';
  req.setEncoding('utf8');
  req.on('data', (chunk: string) => {
    body += chunk;
  });
  req.on('end', () => {
    const [, what, count, every] = /"prompt":"(stream|hold)(?: (\d+) (\d+))?"/.exec(body) ?? [];
    if (what === undefined) {
      res.writeHead(400).end();
      return;
    }
    res.writeHead(200, { 'content-type': 'application/x-ndjson' });
    if (what === 'hold') hold(res);
    else stream(res, Number(count), Number(every));
  });
}

const server = createServer((req, res) => {
  res.socket?.setNoDelay(true);
  if (req.url === '/api/tags') {
    res.writeHead(200, tagsHead).end(tags);
  } else if (req.url === '/api/generate' || req.url?.startsWith('/api/blobs/')) {
    generate(req, res);
  } else {
    res.writeHead(200, { 'content-type': 'text/plain' }).end('Ollama is running');
  }
});
server.keepAliveTimeout = 120_000;
server.requestTimeout = 0;

process.on('message', (message) => {
  if (message !== 'tick') return;
  for (const res of held) res.write(record(false));
  process.send?.({ ticked: held.size });
});
process.on('disconnect', () => process.exit());

server.listen(0, '127.0.0.1', 4096, () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.({ port: address.port });
});
