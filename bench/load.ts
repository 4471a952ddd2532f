import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CoreTime, coreShare, coreTime, cpuTime } from './machine.ts';
import { hasProgram } from './processes.ts';
import type { RunningProxy } from './proxies.ts';
import type { Bench } from './row.ts';
import { percentile } from './stats.ts';

/** What one stretch of load found. */
export interface LoadResult {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Answers that were not 2xx, and lost connections. */
  readonly failures: number;
  /** Shares (0 to 1) of the cores, and of the proxy's core that the proxy itself used. */
  readonly proxyCore: number;
  readonly proxyItself: number;
  readonly loadCore: number;
  readonly stolen: number;
}

/** Where load goes. */
export interface Target {
  readonly url: string;
  readonly authorization: string | undefined;
  readonly pid: number | undefined;
}

/** A proxy as a target, with its password or with another credential. */
export function target(proxy: RunningProxy, authorization = proxy.authorization): Target {
  return { url: proxy.url, authorization, pid: proxy.pid };
}

/** `connections` keep-alive connections that ask for `/api/tags` as fast as they are answered. */
export async function saturate(
  bench: Bench,
  { url, authorization, pid }: Target,
  seconds: number,
  connections = 32,
): Promise<LoadResult> {
  const { proxyCore, loadCore } = bench.machine;
  const before = { proxy: coreTime(proxyCore), load: coreTime(loadCore), own: ownTime(pid) };
  const generate = hasProgram('wrk') ? wrk : nodeLoad;
  const result = await generate(bench, `${url}/api/tags`, authorization, seconds, connections);
  const after = { proxy: coreTime(proxyCore), load: coreTime(loadCore), own: ownTime(pid) };
  const proxy = coreShare(before.proxy, after.proxy);
  await quiet(bench, pid);
  return {
    ...result,
    proxyCore: proxy.busy,
    proxyItself: (after.own - before.own) / wallTime(before.proxy, after.proxy),
    loadCore: coreShare(before.load, after.load).busy,
    stolen: proxy.stolen,
  };
}

/** What hashes on every request works on after the load has gone: the next one to be measured must not pay for it. */
async function quiet(bench: Bench, pid: number | undefined): Promise<void> {
  for (let turn = 0; pid !== undefined && turn < 50; turn += 1) {
    const before = cpuTime(pid);
    await sleep(100, undefined, { signal: bench.signal });
    if (!(cpuTime(pid) - before > 20)) return;
  }
}

type Generated = Pick<LoadResult, 'perSecond' | 'p50' | 'p99' | 'failures'>;

async function wrk(
  bench: Bench,
  url: string,
  authorization: string | undefined,
  seconds: number,
  connections: number,
): Promise<Generated> {
  const header = authorization === undefined ? [] : ['-H', `Authorization: ${authorization}`];
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '20s', '--latency', ...header, url];
  const output = await bench.processes.run('wrk', args, { timeoutMs: (seconds + 20) * 1000 });
  const counts = [...output.matchAll(/(?:connect|read|write|timeout|Non-2xx or 3xx responses:?) (\d+)/g)];
  return {
    perSecond: Number(/^Requests\/sec:\s+([\d.]+)/m.exec(output)?.[1]),
    p50: milliseconds(/^\s+50%\s+(\S+)/m.exec(output)?.[1]),
    p99: milliseconds(/^\s+99%\s+(\S+)/m.exec(output)?.[1]),
    failures: counts.reduce((sum, [, count]) => sum + Number(count), 0),
  };
}

function milliseconds(text = ''): number {
  const [, value, unit = 'ms'] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? [];
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000, m: 60_000 }[unit] ?? Number.NaN);
}

/** Where there is no wrk: raw sockets, because Node's own client costs more than the proxies under test. */
async function nodeLoad(
  bench: Bench,
  url: string,
  authorization: string | undefined,
  seconds: number,
  connections: number,
): Promise<Generated> {
  const { hostname, port, pathname, host } = new URL(url);
  const header = authorization === undefined ? '' : `Authorization: ${authorization}\r\n`;
  const request = Buffer.from(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n${header}\r\n`);
  const latencies: number[] = [];
  let failures = 0;
  let running = true;
  const sockets = Array.from({ length: connections }, () => {
    const socket = createConnection({ host: hostname, port: Number(port), noDelay: true });
    let sent = 0;
    let received = '';
    const ask = (): void => {
      received = '';
      sent = performance.now();
      socket.write(request);
    };
    socket.setEncoding('latin1');
    socket.on('connect', ask);
    socket.on('data', (chunk: string) => {
      received += chunk;
      if (!isWhole(received)) return;
      if (received.startsWith('HTTP/1.1 2')) latencies.push(performance.now() - sent);
      else failures += 1;
      if (running) ask();
    });
    socket.on('error', () => {
      failures += 1;
    });
    return socket;
  });
  const started = performance.now();
  try {
    await sleep(seconds * 1000, undefined, { signal: bench.signal });
  } finally {
    running = false;
    for (const socket of sockets) socket.destroy();
  }
  const elapsed = (performance.now() - started) / 1000;
  return {
    perSecond: latencies.length / elapsed,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    failures,
  };
}

function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(answer.slice(0, end))?.[1];
  return length === undefined ? answer.endsWith('0\r\n\r\n') : answer.length >= end + 4 + Number(length);
}

function ownTime(pid: number | undefined): number {
  return pid === undefined ? Number.NaN : cpuTime(pid);
}

function wallTime(before: CoreTime | undefined, after: CoreTime | undefined): number {
  return before === undefined || after === undefined ? Number.NaN : (after.total - before.total) * 10;
}
