import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ask } from '../ask.ts';
import { get, readStreams } from '../clients.ts';
import { alternate, column } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { ratios, spread } from '../stats.ts';
import { streamLoad } from './streams.ts';

/** What a developer feels who types while teammates generate. */
export const hostDelay: Row = {
  name: 'host',
  title: 'Extension host event-loop delay p99 while 128 streams run',
  method:
    'A plain Node process starts the guard on its threads as the extension does, all pinned to one core, which is the ' +
    'worst case for the host’s thread. The gap between timers of 1 ms on that thread, idle and during the load of the ' +
    'row above.',
  budgets: [{ name: 'more', what: 'host thread’s p99, more than idle', sense: 'below', limit: 15, unit: 'ms' }],
  profile: 'streams',
  measure,
};

async function measure(bench: Bench): Promise<Measurement> {
  const { machine, processes, proxies, quick, signal, upstream } = bench;
  if (!proxies.kinds.includes('guard')) return { samples: {}, tables: [], notes: [] };
  const script = fileURLToPath(new URL('../host.ts', import.meta.url));
  const host = await processes.start(process.execPath, [script, upstream.url, join(proxies.data, 'users.json')], {
    core: machine.proxyCore,
    channel: true,
  });
  try {
    const source = { url: `http://127.0.0.1:${await ask(host, 'port')}`, authorization: proxies.authorization };
    const { status } = await get(source.url, source.authorization);
    if (status !== 200) throw new Error(`The guard in the host answered ${status}.`);
    await readStreams(source, { ...streamLoad, records: 20 });
    const records = quick ? 20 : 60;
    let complete = 0;
    const during = {
      idle: () => sleep(records * streamLoad.every, undefined, { signal }),
      streams: async () => {
        complete += (await readStreams(source, { ...streamLoad, records })).complete;
      },
    };
    const samples = await alternate(
      bench,
      quick ? 1 : 5,
      ['idle', 'streams'] as const,
      async (what) => {
        await ask(host, 'reset', 'reset');
        await during[what]();
        return { p99: await ask(host, 'p99', 'read') };
      },
      ({ p99 }) => `p99 ${p99.toFixed(2)} ms`,
    );
    const p99 = (what: 'idle' | 'streams'): number[] => column(samples, what, (sample) => sample.p99);
    const idle = p99('idle');
    return {
      samples: { more: p99('streams').map((value, round) => value - (idle[round] ?? Number.NaN)) },
      tables: [
        {
          head: ['', 'p99 ms', '× idle'],
          lines: (['idle', 'streams'] as const).map((what) => [
            what,
            spread(p99(what)),
            spread(ratios(p99(what), idle)),
          ]),
        },
      ],
      notes: [`${complete} of ${(quick ? 1 : 5) * streamLoad.count} streams ended with their last record.`],
    };
  } finally {
    await host.stop(500);
  }
}
