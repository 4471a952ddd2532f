import { type LoadResult, saturate, target } from '../load.ts';
import type { ProxyKind } from '../proxies.ts';
import { alternate, column, standingBoth } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { median, number, percent, ratios, spread } from '../stats.ts';

type Contender = ProxyKind | `${ProxyKind}, TLS`;

/** What encryption costs once a connection is there. */
export const tlsRequests: Row = {
  name: 'tls-requests',
  title: 'TLS: authenticated requests/s, warm, 32 connections',
  method:
    'The load of the first row over TLS 1.3, and beside it over plain HTTP, for the same proxy in the same round. All ' +
    'proxies have the same certificate, ECDSA on P-256.',
  budgets: [],
  profile: 'tls-requests',
  measure,
};

async function measure(bench: Bench): Promise<Measurement> {
  const { quick, proxies } = bench;
  const kinds = proxies.among('guard', 'caddy', 'nginx no hash');
  const contenders = kinds.flatMap((kind): Contender[] => [kind, `${kind}, TLS`]);
  const samples = await standingBoth(bench, kinds, async (proxy) => {
    const load = (contender: Contender, seconds: number): Promise<LoadResult> => {
      const [kind, tls] = contender.split(', ') as [ProxyKind, 'TLS' | undefined];
      return saturate(bench, target(proxy(kind, tls !== undefined)), seconds);
    };
    for (const contender of contenders) await load(contender, quick ? 1 : 2);
    return alternate(
      bench,
      quick ? 1 : 5,
      contenders,
      (contender) => load(contender, quick ? 1 : 2),
      ({ perSecond }) => `${number(perSecond)}/s`,
    );
  });

  const rates = (contender: Contender): number[] => column(samples, contender, ({ perSecond }) => perSecond);
  const failures = contenders.flatMap((contender) => column(samples, contender, (sample) => sample.failures));
  const failed = failures.reduce((sum, count) => sum + count, 0);
  return {
    samples: {},
    tables: [
      {
        head: ['', 'plain/s', 'TLS/s', '× its plain', '× Caddy', 'p50 ms', 'p99 ms', 'its core', 'load’s core'],
        lines: kinds.map((kind) => {
          const own = rates(`${kind}, TLS`);
          const middle = (pick: (sample: LoadResult) => number): number =>
            median(column(samples, `${kind}, TLS`, pick));
          return [
            kind,
            spread(rates(kind)),
            spread(own),
            spread(ratios(own, rates(kind))),
            spread(ratios(own, rates('caddy, TLS'))),
            number(middle((sample) => sample.p50)),
            number(middle((sample) => sample.p99)),
            percent(middle((sample) => sample.proxyItself)),
            percent(middle((sample) => sample.loadCore)),
          ];
        }),
      },
    ],
    notes: [
      'Columns from the fourth on are about TLS. nginx hashes nothing here, and may be held up by the load: see its core.',
      ...(failed > 0 ? [`**${failed} requests failed.**`] : []),
    ],
  };
}
