import { fileURLToPath } from 'node:url';
import { get } from '../clients.ts';
import { microseconds, millisecondsSince } from '../clock.ts';
import { cpuTime } from '../machine.ts';
import { bcryptCost, type ProxyKind, type RunningProxy } from '../proxies.ts';
import { alternate, column, type Samples } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { number, spread } from '../stats.ts';

const clients = 32;
/** Enough for Caddy to hash 32 times; nobody waits that long in earnest, nor in a smoke run. */
const patienceMs = { quick: 3_000, whole: 60_000 } as const;

/** Colleagues who all arrive at once, on a guard that has just started. */
export const coldClients: Row = {
  name: 'cold',
  title: '32 cold clients, one right password',
  method:
    'A proxy that has just started, 32 new connections at the same moment with the same right password. “One hash” is ' +
    'bcryptjs at cost 12 in a fresh process on the same core for the guard, and one cold client alone for the others. ' +
    'The CPU time that the process used, over that of one hash, shows how many hashes were computed.',
  budgets: [
    { name: 'served', what: 'all served, over one hash', sense: 'below', limit: 2, unit: '×' },
    {
      name: 'hashes',
      what: 'CPU used, over one hash (one bcrypt and 32 answers)',
      sense: 'below',
      limit: 2,
      unit: '×',
    },
  ],
  profile: 'cold',
  measure,
};

interface Crowd {
  /** Milliseconds; `hashCpu` and `cpu` are CPU time. Infinite when nobody, or not everybody, was served. */
  readonly alone: number;
  readonly hash: number;
  readonly hashCpu: number;
  readonly first: number;
  readonly all: number;
  readonly cpu: number;
  readonly served: number;
}

async function measure(bench: Bench): Promise<Measurement> {
  const { quick, proxies } = bench;
  const show = ({ first, all, served }: Crowd): string =>
    `first ${number(first)} ms, all ${number(all)} ms, ${served} served`;
  const samples = new Map<ProxyKind, readonly Crowd[]>([
    ...(await alternate(bench, quick ? 1 : 5, proxies.among('guard'), (kind) => crowd(bench, kind), show)),
    // 32 hashes of a second each: seen once, seen enough.
    ...(await alternate(bench, 1, proxies.among('caddy', 'nginx'), (kind) => crowd(bench, kind), show)),
  ]);
  return {
    samples: {
      served: column(samples, 'guard', ({ all, hash }) => all / hash),
      hashes: column(samples, 'guard', ({ cpu, hashCpu }) => cpu / hashCpu),
    },
    tables: [table(samples)],
    notes: notes(samples),
  };
}

async function crowd(bench: Bench, kind: ProxyKind): Promise<Crowd> {
  const { proxies } = bench;
  const patience = bench.quick ? patienceMs.quick : patienceMs.whole;
  const alone = await proxies.using(kind, async (proxy) => {
    const before = cpuTime(proxy.pid);
    const [answer] = await arrive(proxy, 1, patience);
    return { took: answer?.took ?? Number.NaN, cpu: cpuTime(proxy.pid) - before };
  });
  const own = kind === 'guard' ? await oneHash(bench) : alone;
  return proxies.using(kind, async (proxy) => {
    const before = cpuTime(proxy.pid);
    const answers = await arrive(proxy, clients, patience);
    const served = answers.filter(({ status }) => status === 200);
    const times = served.map(({ took }) => took);
    return {
      alone: alone.took,
      hash: own.took,
      hashCpu: own.cpu,
      first: times.length === 0 ? Number.POSITIVE_INFINITY : Math.min(...times),
      all: times.length < clients ? Number.POSITIVE_INFINITY : Math.max(...times),
      cpu: cpuTime(proxy.pid) - before,
      served: served.length,
    };
  });
}

/** `count` clients at once; each time runs from the moment that the first was sent. */
async function arrive(
  proxy: RunningProxy,
  count: number,
  timeoutMs: number,
): Promise<{ status: number; took: number }[]> {
  const started = microseconds();
  return Promise.all(
    Array.from({ length: count }, async () => {
      const { status } = await get(proxy.url, proxy.authorization, { timeoutMs });
      return { status, took: millisecondsSince(started) };
    }),
  );
}

async function oneHash(bench: Bench): Promise<{ took: number; cpu: number }> {
  const script = fileURLToPath(new URL('../hashCost.ts', import.meta.url));
  const output = await bench.processes.run(process.execPath, [script, String(bcryptCost.guard)], {
    core: bench.machine.proxyCore,
  });
  const { took, cpu } = JSON.parse(output) as { took: number; cpu: number };
  return { took, cpu };
}

function table(samples: Samples<ProxyKind, Crowd>): Measurement['tables'][number] {
  return {
    head: ['', 'one hash ms', 'one client ms', 'first of 32 ms', 'all 32 ms', '× one hash', 'CPU in hashes', 'served'],
    lines: [...samples.keys()].map((kind) => {
      const of = (pick: (sample: Crowd) => number): string => spread(column(samples, kind, pick));
      return [
        kind,
        of(({ hash }) => hash),
        of(({ alone }) => alone),
        of(({ first }) => first),
        of(({ all }) => all),
        of(({ all, hash }) => all / hash),
        of(({ cpu, hashCpu }) => cpu / hashCpu),
        of(({ served }) => served),
      ];
    }),
  };
}

function notes(samples: Samples<ProxyKind, Crowd>): string[] {
  const [caddy] = samples.get('caddy') ?? [];
  const words =
    caddy === undefined || !Number.isFinite(caddy.all)
      ? []
      : [`Caddy served nobody for ${number(caddy.first / 1000)} s, and the last after ${number(caddy.all / 1000)} s.`];
  return [
    `bcrypt costs: guard ${bcryptCost.guard}, Caddy ${bcryptCost.caddy} (its default), nginx ${bcryptCost.nginx}.`,
    ...words,
  ];
}
