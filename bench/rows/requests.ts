import { type LoadResult, saturate, type Target, target } from '../load.ts';
import { bcryptCost, type ProxyKind } from '../proxies.ts';
import { alternate, column, standing } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { median, number, percent, ratios, spread } from '../stats.ts';

type Contender = ProxyKind | 'guard, API key';

/** Authenticated requests per second. */
export const requests: Row = {
  name: 'requests',
  title: 'Authenticated requests/s, warm, 32 connections',
  method:
    '`GET /api/tags` over 32 keep-alive connections as fast as answers come, with a password that was checked once before.',
  budgets: [
    { name: 'over Caddy', what: 'requests/s over Caddy’s', sense: 'at least', limit: 1.0, unit: '×' },
    {
      name: 'API key over Caddy',
      what: 'requests/s with an API key over Caddy’s with a password',
      sense: 'at least',
      limit: 1.0,
      unit: '×',
    },
  ],
  profile: 'requests',
  measure,
};

async function measure(bench: Bench): Promise<Measurement> {
  const { quick, proxies, upstream } = bench;
  const kinds = proxies.among('guard', 'caddy', 'nginx', 'nginx apr1');
  return standing(bench, kinds, async (running) => {
    const targets = new Map<Contender, Target>();
    for (const kind of kinds) {
      targets.set(kind, target(running(kind)));
      const { bearer } = running(kind);
      if (bearer !== undefined) targets.set('guard, API key', target(running(kind), bearer));
    }
    const contenders = [...targets.keys()];
    const load = (contender: Contender, seconds: number): Promise<LoadResult> =>
      saturate(bench, targets.get(contender) ?? { url: '', authorization: undefined, pid: undefined }, seconds);

    // The guard's code is compiled as it runs; the others get the same time to fill their pools.
    for (const contender of contenders) if (contender !== 'nginx') await load(contender, quick ? 1 : 2);
    const direct = await saturate(bench, { url: upstream.url, authorization: undefined, pid: undefined }, 2);
    bench.say(`  upstream alone ${number(direct.perSecond)}/s`);
    const seconds = quick ? 1 : 3;
    const show = ({ perSecond }: LoadResult): string => `${number(perSecond)}/s`;
    const rounds = contenders.filter((contender) => contender !== 'nginx');
    const once = contenders.filter((contender) => contender === 'nginx');
    const samples = new Map<Contender, readonly LoadResult[]>([
      ...(await alternate(bench, quick ? 2 : 5, rounds, (contender) => load(contender, seconds), show)),
      // A hash for every request: seen once, seen enough. It answers 32 at a time, after 32 hashes.
      ...(await alternate(bench, 1, once, (contender) => load(contender, 4), show)),
    ]);

    const rates = (contender: Contender): number[] => column(samples, contender, ({ perSecond }) => perSecond);
    const failures = contenders
      .flatMap((contender) => samples.get(contender) ?? [])
      .reduce((n, s) => n + s.failures, 0);
    const busiest = Math.max(...contenders.map((contender) => median(column(samples, contender, (s) => s.loadCore))));
    return {
      samples: {
        'over Caddy': ratios(rates('guard'), rates('caddy')),
        'API key over Caddy': ratios(rates('guard, API key'), rates('caddy')),
      },
      tables: [
        {
          head: ['', 'requests/s', '× Caddy', 'p50 ms', 'p99 ms', 'its core: all / itself', 'load’s core'],
          lines: contenders.map((contender) => {
            const middle = (pick: (sample: LoadResult) => number): number => median(column(samples, contender, pick));
            return [
              contender,
              spread(rates(contender)),
              spread(ratios(rates(contender), rates('caddy'))),
              number(middle((sample) => sample.p50)),
              number(middle((sample) => sample.p99)),
              `${percent(middle((sample) => sample.proxyCore))} / ${percent(middle((sample) => sample.proxyItself))}`,
              percent(middle((sample) => sample.loadCore)),
            ];
          }),
        },
      ],
      notes: [
        `The upstream alone answers ${number(direct.perSecond)} requests/s while it shares a core with the load. ` +
          `Behind the fastest proxy that core was ${percent(busiest)} busy: ${
            busiest < 0.9 ? 'the proxies were the bottleneck.' : '**too busy; the proxies may have been faster.**'
          }`,
        `nginx compares bcrypt (here at cost ${bcryptCost.nginx}) on every request. “nginx apr1” has the MD5 hash that ` +
          '`htpasswd` makes by default: a thousand rounds of MD5, which protect a stolen file poorly.',
        ...(failures > 0 ? [`**${failures} requests failed.**`] : []),
      ],
    };
  });
}
