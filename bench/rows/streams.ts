import { readStreams, type Source } from '../clients.ts';
import type { ProxyKind } from '../proxies.ts';
import { alternate, column, standing } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { percentile, ratios, spread } from '../stats.ts';

/** What 128 people who all generate ask of the machine: 20 records a second each. */
export const streamLoad = { count: 128, every: 50 } as const;
const usualBursts = 6;

/** Token streams. */
export const streams: Row = {
  name: 'streams',
  title: 'NDJSON stream, 128 at once',
  method:
    `${streamLoad.count} \`POST /api/generate\` at once, a record every ${streamLoad.every} ms each, out of step. Each ` +
    'record carries the time at which the upstream wrote it (the clock is the same in every process), so its delay is ' +
    'exact; counted are records since all 128 streams run. The first record is written at once; its time runs from the ' +
    'request, on a new connection.',
  budgets: [
    { name: 'delay', what: 'record delay p99 over Caddy’s', sense: 'at most', limit: 1.1, unit: '×' },
    { name: 'first', what: 'time to first record p50 over Caddy’s', sense: 'at most', limit: 1.1, unit: '×' },
    { name: 'lost', what: 'streams that did not end with their last record', sense: 'at most', limit: 0, unit: '' },
  ],
  profile: 'streams',
  measure,
};

/** What 128 streams at once went through. */
export interface Flow {
  readonly delayP50: number;
  readonly delayP99: number;
  readonly firstP50: number;
  readonly firstP99: number;
  readonly lost: number;
}

async function measure(bench: Bench): Promise<Measurement> {
  const { quick, proxies, upstream } = bench;
  const kinds = proxies.among('guard', 'caddy', 'nginx apr1');
  return standing(bench, kinds, async (running) => {
    const source = (kind: ProxyKind | 'no proxy'): Source =>
      kind === 'no proxy' ? { url: upstream.url, authorization: undefined } : running(kind);
    const contenders = [...kinds, 'no proxy'] as const;
    for (const kind of contenders) await flow(source(kind), 20);
    const samples = await alternate(
      bench,
      quick ? 1 : 5,
      contenders,
      (kind) => flow(source(kind), quick ? 20 : 50),
      ({ delayP99, firstP50 }) => `delay p99 ${delayP99.toFixed(1)} ms, first ${firstP50.toFixed(0)} ms`,
    );
    const of = (kind: ProxyKind | 'no proxy', pick: (sample: Flow) => number): number[] => column(samples, kind, pick);
    const delays = (kind: ProxyKind | 'no proxy'): number[] => of(kind, ({ delayP99 }) => delayP99);
    const firsts = (kind: ProxyKind | 'no proxy'): number[] => of(kind, ({ firstP50 }) => firstP50);
    return {
      samples: {
        delay: ratios(delays('guard'), delays('caddy')),
        first: ratios(firsts('guard'), firsts('caddy')),
        lost: of('guard', ({ lost }) => lost),
      },
      tables: [
        {
          head: [
            '',
            'delay p50 ms',
            'delay p99 ms',
            '× Caddy',
            'first record p50 ms',
            '× Caddy',
            'first p99 ms',
            'lost',
          ],
          lines: contenders.map((kind) => [
            kind,
            spread(of(kind, ({ delayP50 }) => delayP50)),
            spread(delays(kind)),
            spread(ratios(delays(kind), delays('caddy'))),
            spread(firsts(kind)),
            spread(ratios(firsts(kind), firsts('caddy'))),
            spread(of(kind, ({ firstP99 }) => firstP99)),
            spread(of(kind, ({ lost }) => lost)),
          ]),
        },
      ],
      notes: [
        'nginx has the cheap hash here: with bcrypt its 128 streams wait for 128 hashes.',
        'The clients run in one process on the load’s core, so “no proxy” is the floor of every number.',
      ],
    };
  });
}

/** Streams of `records` records, then short ones for more first records; `bursts` of streams in all. */
export async function flow(source: Source, records: number, bursts = usualBursts): Promise<Flow> {
  const long = await readStreams(source, { ...streamLoad, records });
  const first = [...long.first];
  let complete = long.complete;
  for (let burst = 1; burst < bursts; burst += 1) {
    const short = await readStreams(source, { ...streamLoad, records: 1 });
    first.push(...short.first);
    complete += short.complete;
  }
  return {
    delayP50: percentile(long.delays, 0.5),
    delayP99: percentile(long.delays, 0.99),
    firstP50: percentile(first, 0.5),
    firstP99: percentile(first, 0.99),
    lost: bursts * streamLoad.count - complete,
  };
}
