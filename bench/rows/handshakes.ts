import { type Beginning, type ConnectionResult, connectAgain } from '../connections.ts';
import type { ProxyKind } from '../proxies.ts';
import { alternate, column, standingBoth } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { median, number, percent, ratios, spread } from '../stats.ts';

const beginnings = ['plain', 'resumed', 'full'] as const satisfies readonly Beginning[];
type Contender = `${ProxyKind}, ${Beginning}`;

/** Programs that connect anew for every request: curl, scripts, a teammate's first click. */
export const handshakes: Row = {
  name: 'handshakes',
  title: 'TLS: new connections, with full and with resumed handshakes',
  method:
    'A new connection for every `GET /api/tags`, 32 at once, each closed after its answer: plain HTTP; TLS 1.3 with a ' +
    'full handshake; TLS 1.3 with the ticket of a session before. All proxies have the same certificate, ECDSA on P-256, ' +
    'which the client verifies, and exchange keys by X25519; every session is checked to have been resumed or not, as ' +
    'asked. A client’s side of a handshake costs more than a proxy’s in C, so the load’s core cannot keep all proxies ' +
    'busy: compared is the CPU time that a proxy uses for a connection, and “of a core” is what a core of it would do.',
  budgets: [],
  profile: 'handshakes',
  measure,
};

async function measure(bench: Bench): Promise<Measurement> {
  const { quick, proxies } = bench;
  const kinds = proxies.among('guard', 'caddy', 'nginx no hash');
  const contenders = kinds.flatMap((kind) => beginnings.map((beginning): Contender => `${kind}, ${beginning}`));
  const samples = await standingBoth(bench, kinds, async (proxy) => {
    const load = (contender: Contender, seconds: number): Promise<ConnectionResult> => {
      const [kind, beginning] = contender.split(', ') as [ProxyKind, Beginning];
      return connectAgain(bench, proxy(kind, beginning !== 'plain'), beginning, seconds);
    };
    for (const contender of contenders) await load(contender, quick ? 0.5 : 1);
    return alternate(
      bench,
      quick ? 1 : 5,
      contenders,
      (contender) => load(contender, quick ? 1 : 2),
      ({ cpuEach }) => `${cpuEach.toFixed(0)} µs`,
    );
  });

  const costs = (kind: ProxyKind, beginning: Beginning): number[] =>
    column(samples, `${kind}, ${beginning}`, ({ cpuEach }) => cpuEach);
  return {
    samples: {},
    tables: [
      {
        head: [
          '',
          'CPU µs',
          'of a core, /s',
          '× Caddy',
          '× its plain',
          'p50 ms',
          'measured/s',
          'its core',
          'load’s core',
        ],
        lines: kinds.flatMap((kind) =>
          beginnings.map((beginning) => {
            const own = costs(kind, beginning);
            const middle = (pick: (sample: ConnectionResult) => number): number =>
              median(column(samples, `${kind}, ${beginning}`, pick));
            return [
              `${kind}, ${beginning}`,
              spread(own),
              number(1e6 / median(own)),
              // Rates: what costs half is twice as fast.
              spread(ratios(costs('caddy', beginning), own)),
              spread(ratios(costs(kind, 'plain'), own)),
              number(middle((sample) => sample.p50)),
              number(middle((sample) => sample.perSecond)),
              percent(middle((sample) => sample.proxyItself)),
              percent(middle((sample) => sample.loadCore)),
            ];
          }),
        ),
      },
      {
        head: ['what TLS adds, CPU µs', 'resumed', 'full'],
        lines: kinds.map((kind) => [
          kind,
          ...(['resumed', 'full'] as const).map((beginning) => {
            const plain = costs(kind, 'plain');
            return spread(costs(kind, beginning).map((cost, round) => cost - (plain[round] ?? Number.NaN)));
          }),
        ]),
      },
    ],
    notes: [
      'Ratios are of rates: above 1 is faster. A connection’s CPU time holds everything of it: accepting, the handshake, ' +
        'the request, closing. nginx hashes nothing here.',
    ],
  };
}
