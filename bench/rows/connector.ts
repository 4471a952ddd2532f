import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Joined } from '../../src/connector/joined.ts';
import { ask } from '../ask.ts';
import { get, type Source } from '../clients.ts';
import type { RunningProxy } from '../proxies.ts';
import { alternate, column, standing } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { ratios, spread } from '../stats.ts';
import { type Flow, flow, streamLoad } from './streams.ts';

/** What a teammate feels whose programs go through a connector. */
export const connector: Row = {
  name: 'connector',
  title: 'Through a connector: NDJSON stream, 128 at once',
  method:
    `The load of the row of ${streamLoad.count} streams, over TLS to the guard and to Caddy, and through a connector to ` +
    'the same guard. The connector is a process like a teammate’s, on the core of the proxies: it and the guard share ' +
    'what each has to itself when they are on two computers.',
  budgets: [
    { name: 'delay', what: 'record delay p99 over Caddy’s, both over TLS', sense: 'at most', limit: 1.1, unit: '×' },
    { name: 'lost', what: 'streams that did not end with their last record', sense: 'at most', limit: 0, unit: '' },
  ],
  measure,
};

async function measure(bench: Bench): Promise<Measurement> {
  const { proxies, quick } = bench;
  if (!proxies.kinds.includes('guard')) return { samples: {}, tables: [], notes: [] };
  const kinds = proxies.among('guard', 'caddy');
  return standing(
    bench,
    kinds,
    async (running) => {
      const through = await openConnector(bench, running('guard'));
      const source = (contender: 'guard' | 'caddy' | 'connector'): Source =>
        contender === 'connector' ? through : running(contender);
      const contenders = [...kinds, 'connector'] as ('guard' | 'caddy' | 'connector')[];
      for (const contender of contenders) await flow(source(contender), 20, 1);
      const samples = await alternate(
        bench,
        quick ? 1 : 3,
        contenders,
        (contender) => flow(source(contender), quick ? 20 : 50, 1),
        ({ delayP99, firstP50 }) => `delay p99 ${delayP99.toFixed(1)} ms, first ${firstP50.toFixed(0)} ms`,
      );
      const of = (contender: (typeof contenders)[number], pick: (sample: Flow) => number): number[] =>
        column(samples, contender, pick);
      const delays = (contender: (typeof contenders)[number]): number[] => of(contender, ({ delayP99 }) => delayP99);
      return {
        samples: {
          delay: ratios(delays('connector'), delays('caddy')),
          lost: of('connector', ({ lost }) => lost),
        },
        tables: [
          {
            head: ['', 'delay p50 ms', 'delay p99 ms', '× Caddy', '× guard', 'first record p50 ms', 'lost'],
            lines: contenders.map((contender) => [
              contender,
              spread(of(contender, ({ delayP50 }) => delayP50)),
              spread(delays(contender)),
              spread(ratios(delays(contender), delays('caddy'))),
              spread(ratios(delays(contender), delays('guard'))),
              spread(of(contender, ({ firstP50 }) => firstP50)),
              spread(of(contender, ({ lost }) => lost)),
            ]),
          },
        ],
        notes: [
          'Its clients speak plain HTTP to it, on loopback; what it adds is a second hop and the TLS of the first.',
        ],
      };
    },
    { tls: true },
  );
}

async function openConnector({ machine, processes }: Bench, guard: RunningProxy): Promise<Source> {
  const joined: Joined = {
    id: 'bench22222',
    user: 'bench',
    addresses: [guard.url],
    apiKey: guard.bearer?.replace('Bearer ', '') ?? '',
    port: 0,
    ...(guard.ca !== undefined && { ca: guard.ca }),
  };
  const file = join(await processes.folder('joined'), 'joined.json');
  await writeFile(file, JSON.stringify([joined]), { mode: 0o600 });
  const script = fileURLToPath(new URL('../connector.ts', import.meta.url));
  const running = await processes.start(process.execPath, [script, file], { core: machine.proxyCore, channel: true });
  const source: Source = { url: `http://127.0.0.1:${await ask(running, 'port')}`, authorization: undefined };
  const { status } = await get(source.url, '');
  if (status !== 200) throw new Error(`The connector answered ${status}. ${running.complaint()}`);
  return source;
}
