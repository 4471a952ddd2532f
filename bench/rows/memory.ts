import { setTimeout as sleep } from 'node:timers/promises';
import { holdStreams, readStreams } from '../clients.ts';
import { residentMemory } from '../machine.ts';
import type { RunningProxy } from '../proxies.ts';
import { alternate, column, signIn } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { spread } from '../stats.ts';

const held = 1000;

/** People who wait for a model, or read while it thinks. */
export const memory: Row = {
  name: 'memory',
  title: 'Memory per idle stream',
  method:
    `A fresh proxy serves 4 × 128 short streams; then ${held.toLocaleString('en-US')} streams are opened, get one record ` +
    'and stay silent. Growth of its resident memory, over their number. At the end the upstream writes a record on each ' +
    'and those that arrive are counted.',
  budgets: [
    { name: 'kB', what: 'resident memory per idle stream', sense: 'below', limit: 30, unit: 'kB' },
    { name: 'lost', what: `of ${held.toLocaleString('en-US')} streams, lost`, sense: 'at most', limit: 0, unit: '' },
  ],
  measure,
};

interface Held {
  readonly before: number;
  readonly kilobytes: number;
  readonly alive: number;
  readonly afterwards: number;
}

async function measure(bench: Bench): Promise<Measurement> {
  const kinds = bench.proxies.among('guard', 'caddy', 'nginx apr1');
  const samples = await alternate(
    bench,
    bench.quick ? 1 : 3,
    kinds,
    (kind) => bench.proxies.using(kind, (proxy) => idle(bench, proxy)),
    ({ kilobytes, alive }) => `${kilobytes.toFixed(1)} kB a stream, ${alive} alive`,
  );
  return {
    samples: {
      kB: column(samples, 'guard', ({ kilobytes, alive }) => (alive > held / 2 ? kilobytes : Number.NaN)),
      lost: column(samples, 'guard', ({ alive }) => held - alive),
    },
    tables: [
      {
        head: ['', 'before MB', 'kB per stream', 'alive', 'MB after they left'],
        lines: kinds.map((kind) => [
          kind,
          spread(column(samples, kind, ({ before }) => before / 1e6)),
          spread(column(samples, kind, ({ kilobytes }) => kilobytes)),
          spread(column(samples, kind, ({ alive }) => alive)),
          spread(column(samples, kind, ({ afterwards }) => afterwards / 1e6)),
        ]),
      },
    ],
    notes: ['kB is 1,000 bytes. Memory of the kernel (socket buffers) is in nobody’s number.'],
  };
}

async function idle(bench: Bench, proxy: RunningProxy): Promise<Held> {
  const { signal, upstream, quick } = bench;
  const settle = (milliseconds: number): Promise<void> => sleep(quick ? 500 : milliseconds, undefined, { signal });
  await signIn(proxy);
  for (let burst = 0; burst < 4; burst += 1) await readStreams(proxy, { count: 128, records: 2, every: 20 });
  await settle(1500);
  const before = residentMemory(proxy.pid);
  const streams = await holdStreams(proxy, held);
  try {
    await settle(2000);
    const during = residentMemory(proxy.pid);
    await upstream.tick();
    await settle(1000);
    const alive = streams.alive(2);
    streams.close();
    await settle(1000);
    return { before, kilobytes: (during - before) / 1000 / held, alive, afterwards: residentMemory(proxy.pid) };
  } finally {
    streams.close();
  }
}
