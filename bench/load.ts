import { writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Source } from './clients.ts';
import { type CoreTime, coreShare, coreTime, cpuTime } from './machine.ts';
import { hasProgram } from './processes.ts';
import type { RunningProxy } from './proxies.ts';
import type { Bench } from './row.ts';
import { percentile } from './stats.ts';

/** What the cores did meanwhile. */
export interface CoreUse {
  /** CPU time in ms that the proxy used. */
  readonly cpu: number;
  /** Shares (0 to 1) of the cores, and of the proxy's core that the proxy itself used. */
  readonly proxyCore: number;
  readonly proxyItself: number;
  readonly loadCore: number;
}

/** What one stretch of load found. */
export interface LoadResult extends CoreUse {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Answers that were not 2xx, and lost connections. */
  readonly failures: number;
}

/** Where load goes. */
export interface Target {
  readonly url: string;
  readonly authorization: string | undefined;
  readonly pid: number | undefined;
  /** The one certificate that is trusted, in PEM; for `https`. wrk trusts all. */
  readonly ca?: string | undefined;
  /** What is asked for; the list of models unless given. */
  readonly post?: { readonly path: string; readonly body: string };
}

/** A proxy as a target, with its password or with another credential. */
export function target(proxy: RunningProxy, authorization = proxy.authorization): Target {
  return { url: proxy.url, authorization, pid: proxy.pid, ca: proxy.ca };
}

/** `connections` keep-alive connections that ask for `/api/tags`, or post, as fast as they are answered. */
export async function saturate(
  bench: Bench,
  { url, authorization, pid, ca, post }: Target,
  seconds: number,
  connections = 32,
): Promise<LoadResult> {
  const generate = hasProgram('wrk') ? wrk : nodeLoad;
  return observe(bench, pid, () =>
    generate(
      bench,
      { url: `${url}${post?.path ?? '/api/tags'}`, authorization, ca, body: post?.body },
      seconds,
      connections,
    ),
  );
}

/** Reads what the cores and the proxy did during a load, and waits until the proxy is quiet again. */
export async function observe<T extends object>(
  bench: Bench,
  pid: number | undefined,
  load: () => Promise<T>,
): Promise<T & CoreUse> {
  const { proxyCore, loadCore } = bench.machine;
  const before = { proxy: coreTime(proxyCore), load: coreTime(loadCore), own: ownTime(pid) };
  const result = await load();
  const after = { proxy: coreTime(proxyCore), load: coreTime(loadCore), own: ownTime(pid) };
  const proxy = coreShare(before.proxy, after.proxy);
  await quiet(bench, pid);
  const cpu = after.own - before.own;
  return {
    ...result,
    cpu,
    proxyCore: proxy.busy,
    proxyItself: cpu / wallTime(before.proxy, after.proxy),
    loadCore: coreShare(before.load, after.load).busy,
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

type Generated = Omit<LoadResult, keyof CoreUse>;

async function wrk(
  bench: Bench,
  { url, authorization, body }: Source,
  seconds: number,
  connections: number,
): Promise<Generated> {
  const script = body === undefined ? [] : ['-s', await postScript(bench, body)];
  const header = authorization === undefined ? [] : ['-H', `Authorization: ${authorization}`];
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '20s', '--latency', ...header, ...script, url];
  const output = await bench.processes.run('wrk', args, { timeoutMs: (seconds + 20) * 1000 });
  const counts = [...output.matchAll(/(?:connect|read|write|timeout|Non-2xx or 3xx responses:?) (\d+)/g)];
  return {
    perSecond: Number(/^Requests\/sec:\s+([\d.]+)/m.exec(output)?.[1]),
    p50: milliseconds(/^\s+50%\s+(\S+)/m.exec(output)?.[1]),
    p99: milliseconds(/^\s+99%\s+(\S+)/m.exec(output)?.[1]),
    failures: counts.reduce((sum, [, count]) => sum + Number(count), 0),
  };
}

/** wrk takes a method and a body from a script alone. */
async function postScript({ processes }: Bench, body: string): Promise<string> {
  const file = join(await processes.folder('wrk'), 'post.lua');
  const json = body.replace(/[\\"]/g, '\\$&');
  await writeFile(
    file,
    `wrk.method = "POST"\nwrk.body = "${json}"\nwrk.headers["Content-Type"] = "application/json"\n`,
  );
  return file;
}

function milliseconds(text = ''): number {
  const [, value, unit = 'ms'] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? [];
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000, m: 60_000 }[unit] ?? Number.NaN);
}

/** Where there is no wrk: raw sockets, because Node's own client costs more than the proxies under test. */
async function nodeLoad(
  bench: Bench,
  { url, authorization, ca, body }: Source,
  seconds: number,
  connections: number,
): Promise<Generated> {
  const { protocol, hostname, port, pathname, host } = new URL(url);
  const header = authorization === undefined ? '' : `Authorization: ${authorization}\r\n`;
  const posted =
    body === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  const method = body === undefined ? 'GET' : 'POST';
  const request = Buffer.from(`${method} ${pathname} HTTP/1.1\r\nHost: ${host}\r\n${header}${posted}\r\n${body ?? ''}`);
  const latencies: number[] = [];
  let failures = 0;
  let running = true;
  const sockets = Array.from({ length: connections }, () => {
    const to = { host: hostname, port: Number(port), noDelay: true };
    const socket = protocol === 'https:' ? connectTls({ ...to, ca }) : createConnection(to);
    let sent = 0;
    let received = '';
    const ask = (): void => {
      received = '';
      sent = performance.now();
      socket.write(request);
    };
    socket.setEncoding('latin1');
    socket.on(protocol === 'https:' ? 'secureConnect' : 'connect', ask);
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

/** Whether all of an HTTP answer is there. */
export function isWhole(answer: string): boolean {
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
