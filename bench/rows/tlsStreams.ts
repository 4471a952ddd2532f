import type { ProxyKind } from '../proxies.ts';
import { alternate, column, standingBoth } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { ratios, spread } from '../stats.ts';
import { type Flow, flow, streamLoad } from './streams.ts';

type Contender = ProxyKind | `${ProxyKind}, TLS`;

/** Token streams of teammates on other computers. */
export const tlsStreams: Row = {
  name: 'tls-streams',
  title: 'TLS: NDJSON stream, 128 at once',
  method:
    `The load of the row of ${streamLoad.count} streams over TLS 1.3, and beside it over plain HTTP, for the same proxy ` +
    'in the same round. The certificate is ECDSA on P-256, keys are exchanged by X25519.',
  budgets: [],
  measure,
};

async function measure(bench: Bench): Promise<Measurement> {
  const { quick, proxies } = bench;
  const kinds = proxies.among('guard', 'caddy', 'nginx no hash');
  const contenders = kinds.flatMap((kind): Contender[] => [kind, `${kind}, TLS`]);
  const samples = await standingBoth(bench, kinds, async (proxy) => {
    const load = (contender: Contender, records: number): Promise<Flow> => {
      const [kind, tls] = contender.split(', ') as [ProxyKind, 'TLS' | undefined];
      return flow(proxy(kind, tls !== undefined), records, 1);
    };
    for (const contender of contenders) await load(contender, 20);
    return alternate(
      bench,
      quick ? 1 : 3,
      contenders,
      (contender) => load(contender, quick ? 20 : 50),
      ({ delayP99, firstP50 }) => `delay p99 ${delayP99.toFixed(1)} ms, first ${firstP50.toFixed(0)} ms`,
    );
  });

  const of = (contender: Contender, pick: (sample: Flow) => number): number[] => column(samples, contender, pick);
  const delays = (contender: Contender): number[] => of(contender, ({ delayP99 }) => delayP99);
  return {
    samples: {},
    tables: [
      {
        head: ['', 'delay p50 ms', 'delay p99 ms', '× its plain', '× Caddy', 'first record p50 ms', 'lost'],
        lines: contenders.map((contender) => {
          const [kind, tls] = contender.split(', ') as [ProxyKind, 'TLS' | undefined];
          return [
            contender,
            spread(of(contender, ({ delayP50 }) => delayP50)),
            spread(delays(contender)),
            spread(ratios(delays(contender), delays(kind))),
            spread(ratios(delays(contender), delays(tls === undefined ? 'caddy' : 'caddy, TLS'))),
            spread(of(contender, ({ firstP50 }) => firstP50)),
            spread(of(contender, ({ lost }) => lost)),
          ];
        }),
      },
    ],
    notes: [
      'The first record comes after a full handshake. 128 at once keep the one client busy longer than a proxy, so that ' +
        'time says little about proxies; the row of new connections does.',
    ],
  };
}
