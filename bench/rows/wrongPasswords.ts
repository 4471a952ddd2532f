import { randomBytes } from 'node:crypto';
import { type Answer, get, keepAlive, paced } from '../clients.ts';
import { basic, type ProxyKind, type RunningProxy } from '../proxies.ts';
import { alternate, column, signIn } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { percentile, spread } from '../stats.ts';

const rightPerSecond = 250;
const wrongPerSecond = 100;

/** Somebody guesses while somebody works. */
export const wrongPasswords: Row = {
  name: 'guessing',
  title: 'Right user’s p99 under 100 wrong passwords/s from elsewhere',
  method:
    `On a fresh proxy the right user asks ${rightPerSecond} times a second over kept connections, first alone and then ` +
    `while 127.0.0.2 sends ${wrongPerSecond} wrong passwords a second for the same user name. What is not answered 3 s ` +
    'after the end counts with the time it had waited.',
  budgets: [
    { name: 'p99', what: 'p99 under attack over p99 without', sense: 'below', limit: 3, unit: '×' },
    { name: 'refused', what: 'right requests that were not served', sense: 'at most', limit: 0, unit: '' },
  ],
  profile: 'requests',
  measure,
};

interface Siege {
  readonly quiet: number;
  readonly quietP50: number;
  readonly attacked: number;
  readonly attackedP50: number;
  readonly refused: number;
  /** How many wrong passwords were answered 401, 429, otherwise or not at all. */
  readonly wrong: readonly [number, number, number];
}

async function measure(bench: Bench): Promise<Measurement> {
  const kinds = bench.proxies.among('guard', 'caddy');
  const samples = await alternate(
    bench,
    bench.quick ? 1 : 5,
    kinds,
    (kind) => bench.proxies.using(kind, (proxy) => siege(bench, proxy)),
    ({ quiet, attacked }) => `p99 ${quiet.toFixed(1)} → ${attacked.toFixed(1)} ms`,
  );
  const of = (kind: ProxyKind, pick: (sample: Siege) => number): number[] => column(samples, kind, pick);
  return {
    samples: {
      p99: of('guard', ({ quiet, attacked }) => attacked / quiet),
      refused: of('guard', ({ refused }) => refused),
    },
    tables: [
      {
        head: [
          '',
          'p50 alone ms',
          'p99 alone ms',
          'p50 attacked ms',
          'p99 attacked ms',
          'p99 ×',
          'right, not served',
          'wrong: 401 / 429 / none',
        ],
        lines: kinds.map((kind) => [
          kind,
          spread(of(kind, ({ quietP50 }) => quietP50)),
          spread(of(kind, ({ quiet }) => quiet)),
          spread(of(kind, ({ attackedP50 }) => attackedP50)),
          spread(of(kind, ({ attacked }) => attacked)),
          spread(of(kind, ({ quiet, attacked }) => attacked / quiet)),
          spread(of(kind, ({ refused }) => refused)),
          [0, 1, 2].map((index) => of(kind, ({ wrong }) => wrong[index] ?? 0).reduce((a, b) => a + b, 0)).join(' / '),
        ]),
      },
    ],
    notes: [],
  };
}

async function siege(bench: Bench, proxy: RunningProxy): Promise<Siege> {
  const { signal, quick } = bench;
  const seconds = quick ? 2 : 3;
  const own = keepAlive();
  const other = keepAlive('127.0.0.2');
  const work = (): Promise<Answer[]> =>
    paced({
      perSecond: rightPerSecond,
      seconds,
      signal,
      send: () => get(proxy.url, proxy.authorization, { agent: own }),
    });
  const guess = (): Promise<Answer[]> =>
    paced({
      perSecond: wrongPerSecond,
      seconds,
      signal,
      send: () => get(proxy.url, basic(randomBytes(9).toString('base64url')), { agent: other }),
    });
  try {
    await signIn(proxy);
    // Compiled.
    await paced({
      perSecond: 500,
      seconds: 1,
      signal,
      send: () => get(proxy.url, proxy.authorization, { agent: own }),
    });
    const quiet = await work();
    const [attacked, wrong] = await Promise.all([work(), guess()]);
    const count = (...statuses: number[]): number => wrong.filter(({ status }) => statuses.includes(status)).length;
    const times = (answers: readonly Answer[]): number[] => answers.map(({ took }) => took);
    return {
      quiet: percentile(times(quiet), 0.99),
      quietP50: percentile(times(quiet), 0.5),
      attacked: percentile(times(attacked), 0.99),
      attackedP50: percentile(times(attacked), 0.5),
      refused: [...quiet, ...attacked].filter(({ status }) => status !== 200).length,
      wrong: [count(401), count(429), wrong.length - count(401, 429)],
    };
  } finally {
    own.destroy();
    other.destroy();
  }
}
