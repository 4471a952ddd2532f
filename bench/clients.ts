import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { microseconds, millisecondsSince } from './clock.ts';

/** Where streams come from. */
export interface Source {
  readonly url: string;
  readonly authorization: string | undefined;
  /** The one certificate that is trusted, in PEM; for `https`. */
  readonly ca?: string | undefined;
  /** Posted as JSON; a GET without it. */
  readonly body?: string | undefined;
}

/** One answer to one request. */
export interface Answer {
  /** 0 when the connection failed. */
  readonly status: number;
  /** Milliseconds from sending to the last byte. */
  readonly took: number;
}

/**
 * One key exchange for all proxies: Node's client and the guard would agree on one that withstands quantum computers and
 * costs more, which Debian's Caddy and nginx do not know.
 */
export const keyExchange = 'X25519';

/** A `GET /api/tags`; never rejects. */
export function get(
  url: string,
  authorization: string | undefined,
  options: { agent?: Agent | false; localAddress?: string; timeoutMs?: number; ca?: string | undefined } = {},
): Promise<Answer> {
  const sent = microseconds();
  return new Promise((resolve) => {
    const end = (status: number): void => resolve({ status, took: millisecondsSince(sent) });
    const req = requester(url)(`${url}/api/tags`, {
      agent: options.agent ?? false,
      ca: options.ca,
      ecdhCurve: keyExchange,
      headers: authorization === undefined ? {} : { authorization },
      ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    });
    const timer = setTimeout(() => req.destroy(), options.timeoutMs ?? 60_000);
    req.once('response', (res) => {
      res.resume();
      res.once('end', () => end(res.statusCode ?? 0));
    });
    req.once('error', () => end(0));
    req.once('close', () => {
      clearTimeout(timer);
      end(0);
    });
    req.end();
  });
}

/** What a number of streams at once went through. */
export interface StreamResult {
  /** Milliseconds from sending the request to the first record, one for each stream. */
  readonly first: readonly number[];
  /**
   * Milliseconds from the upstream's write to the arrival here, for each record since every stream runs. What the rush
   * of new connections costs shows in `first`; it must not pass for the delay of a record.
   */
  readonly delays: readonly number[];
  /** Streams that ended with their last record. */
  readonly complete: number;
}

/** Reads `count` streams at once, each of `records` records. */
export async function readStreams(
  source: Source,
  { count, records, every }: { count: number; records: number; every: number },
): Promise<StreamResult> {
  const first: number[] = [];
  const delays: number[] = [];
  let complete = 0;
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const started = microseconds();
      let seen = 0;
      const req = generate(source, `stream ${records} ${every}`);
      const timer = setTimeout(() => req.destroy(), records * every + 30_000);
      req.once('response', (res) => {
        if (res.statusCode !== 200) req.destroy();
        onRecord(res, (sent) => {
          seen += 1;
          if (seen === 1) first.push(millisecondsSince(started));
          else if (first.length === count) delays.push(millisecondsSince(sent));
        });
        res.once('end', () => {
          if (seen === records) complete += 1;
        });
      });
      req.once('error', () => undefined);
      req.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  await Promise.all(Array.from({ length: count }, one));
  return { first, delays, complete };
}

/** Streams that stay open and silent. */
export interface HeldStreams {
  /** Streams that have had at least this many records and are still open. */
  alive(records: number): number;
  close(): void;
}

/** Opens `count` streams, `atOnce` at a time, and waits for the first record of each. */
export async function holdStreams(source: Source, count: number, atOnce = 50): Promise<HeldStreams> {
  const streams = new Map<ClientRequest, number>();
  const open = (): Promise<void> =>
    new Promise((resolve) => {
      const req = generate(source, 'hold');
      const timer = setTimeout(() => req.destroy(), 15_000);
      req.once('response', (res) => {
        if (res.statusCode !== 200) req.destroy();
        onRecord(res, () => {
          streams.set(req, (streams.get(req) ?? 0) + 1);
          clearTimeout(timer);
          resolve();
        });
      });
      req.once('error', () => undefined);
      req.once('close', () => {
        clearTimeout(timer);
        streams.delete(req);
        resolve();
      });
    });
  for (let left = count; left > 0; left -= atOnce) {
    await Promise.all(Array.from({ length: Math.min(left, atOnce) }, open));
  }
  return {
    alive: (records) => [...streams.values()].filter((seen) => seen >= records).length,
    close: () => {
      for (const req of streams.keys()) req.destroy();
    },
  };
}

/** A load that does not wait for answers, as people do not wait for each other. */
export interface Pace {
  readonly perSecond: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Called for each turn; never rejects. */
  send(): Promise<Answer>;
}

/** Sends at a steady pace and answers what came back within `graceMs` after the last; a missing answer has status 0. */
export async function paced({ perSecond, seconds, signal, send }: Pace, graceMs = 3000): Promise<Answer[]> {
  const total = Math.round(perSecond * seconds);
  const started = performance.now();
  const answers: Answer[] = [];
  const open = new Map<number, number>();
  for (let turn = 0; turn < total; turn += 1) {
    const due = started + (turn * 1000) / perSecond - performance.now();
    if (due > 0) await sleep(due, undefined, { signal });
    open.set(turn, performance.now());
    void send().then((answer) => {
      if (open.delete(turn)) answers.push(answer);
    });
  }
  const deadline = performance.now() + graceMs;
  while (open.size > 0 && performance.now() < deadline) await sleep(10, undefined, { signal });
  const end = performance.now();
  for (const sent of open.values()) answers.push({ status: 0, took: end - sent });
  open.clear();
  return answers;
}

/** Connections that are kept, from one address. */
export function keepAlive(localAddress?: string): Agent {
  return new Agent({ keepAlive: true, ...(localAddress === undefined ? {} : { localAddress }) });
}

function requester(url: string): typeof httpsRequest {
  return url.startsWith('https:') ? httpsRequest : httpRequest;
}

function generate(source: Source, prompt: string): ClientRequest {
  const body = JSON.stringify({ model: 'bench', prompt });
  const req = requester(source.url)(`${source.url}/api/generate`, {
    method: 'POST',
    agent: false,
    ca: source.ca,
    ecdhCurve: keyExchange,
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(source.authorization === undefined ? {} : { authorization: source.authorization }),
    },
  });
  req.setNoDelay(true);
  req.end(body);
  return req;
}

/** Calls back with the upstream's stamp of each record. */
function onRecord(res: IncomingMessage, seen: (sent: number) => void): void {
  let rest = '';
  res.setEncoding('latin1');
  res.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const at = line.indexOf('"sent":');
      if (at >= 0) seen(Number.parseInt(line.slice(at + 7), 10));
    }
  });
  res.on('error', () => undefined);
}
