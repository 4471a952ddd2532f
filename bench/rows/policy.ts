import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LoadResult, saturate, type Target, target } from '../load.ts';
import type { RunningProxy } from '../proxies.ts';
import { alternate, column, signIn } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { median, number, ratios, spread } from '../stats.ts';

/** `gate`: an upload that is let in and flows through unread. The others read, check, count and take turns. */
const contenders = ['gate', 'policy', 'policy, 4 at once'] as const;
type Contender = (typeof contenders)[number];

/** What the policy costs: reading bodies, model rules, clamps, limits and the queue. */
export const policy: Row = {
  name: 'policy',
  title: 'Policy: requests/s with model rules, clamps, limits and the queue',
  method:
    'The same 1 KiB body over 32 keep-alive connections, to two routes that the upstream answers alike. `gate` is ' +
    '`POST /api/blobs/…`, which is let in by its credential and role and flows through unread. `policy` is ' +
    '`POST /api/generate` by the same admin with model rules, clamps, four limits for the user and for the key, and the ' +
    'queue, which lets all 32 through, or 4 at once.',
  budgets: [
    { name: 'over gate', what: 'requests/s with the policy over without', sense: 'at least', limit: 0.9, unit: '×' },
  ],
  profile: 'policy',
  measure,
};

const none = 1_000_000_000;
const limits = {
  requestsPerMinute: none,
  tokensPerMinute: none,
  tokensPerDay: none,
  concurrentRequests: 1_000,
} as const;

const admin = {
  models: { allow: ['bench*', 'llama*'], deny: ['*secret*'] },
  clamps: { keepAlive: { max: '1h' }, contextTokens: 8_192, outputTokens: 4_096, images: 4, imageBytes: 1_000_000 },
  limits,
  limitsPerKey: limits,
} as const;

const body = JSON.stringify({
  model: 'bench',
  prompt: 'stream 1 1',
  system: 'x'.repeat(900),
  options: { temperature: 0.2, num_ctx: 4_096, num_predict: 256 },
  keep_alive: '5m',
});

async function measure(bench: Bench): Promise<Measurement> {
  const { proxies, quick } = bench;
  if (!proxies.kinds.includes('guard')) return { samples: {}, tables: [], notes: [] };
  const running = new Map<Contender, RunningProxy>();
  try {
    const all = await proxies.start('guard', { data: await policyFolder(bench, { concurrency: 32 }) });
    running.set('gate', all).set('policy', all);
    running.set(
      'policy, 4 at once',
      await proxies.start('guard', { data: await policyFolder(bench, { concurrency: 4 }) }),
    );
    for (const proxy of new Set(running.values())) await signIn(proxy);
    const load = async (contender: Contender, seconds: number): Promise<LoadResult> => {
      const proxy = running.get(contender);
      if (proxy === undefined) throw new Error('unreachable: all were started');
      return saturate(bench, contender === 'gate' ? gateTarget(proxy) : policyTarget(proxy), seconds);
    };
    for (const contender of contenders) await load(contender, quick ? 1 : 2);
    const samples = await alternate(
      bench,
      quick ? 1 : 5,
      contenders,
      (contender) => load(contender, quick ? 1 : 3),
      ({ perSecond }) => `${number(perSecond)}/s`,
    );
    const rates = (contender: Contender): number[] => column(samples, contender, ({ perSecond }) => perSecond);
    const failed = contenders.flatMap((contender) => column(samples, contender, ({ failures }) => failures));
    const failures = failed.reduce((sum, count) => sum + count, 0);
    return {
      samples: { 'over gate': ratios(rates('policy'), rates('gate')) },
      tables: [
        {
          head: ['', 'requests/s', '× gate', 'p50 ms', 'p99 ms'],
          lines: contenders.map((contender) => {
            const middle = (pick: (sample: LoadResult) => number): number => median(column(samples, contender, pick));
            return [
              contender,
              spread(rates(contender)),
              spread(ratios(rates(contender), rates('gate'))),
              number(middle((sample) => sample.p50)),
              number(middle((sample) => sample.p99)),
            ];
          }),
        },
      ],
      notes: failures > 0 ? [`**${failures} requests failed.**`] : [],
    };
  } finally {
    await Promise.all([...new Set(running.values())].map((proxy) => proxy.stop(500)));
  }
}

/** A request whose body is read and checked, by API key. */
export function policyTarget(proxy: RunningProxy): Target {
  return { ...target(proxy, proxy.bearer), post: { path: '/api/generate', body } };
}

/** The same body to a route that does not read it. */
function gateTarget(proxy: RunningProxy): Target {
  return { ...target(proxy, proxy.bearer), post: { path: `/api/blobs/sha256:${'0'.repeat(64)}`, body } };
}

/** A data folder whose user is an admin with everything that a policy can say. */
export async function policyFolder(bench: Bench, { concurrency }: { readonly concurrency: number }): Promise<string> {
  const path = await bench.processes.folder('policy');
  await cp(bench.proxies.data, path, { recursive: true });
  const file = join(path, 'users.json');
  await writeFile(file, (await readFile(file, 'utf8')).replace('"role": "member"', '"role": "admin"'));
  await writeFile(join(path, 'policy.json'), JSON.stringify({ roles: { admin }, queue: { concurrency } }));
  return path;
}
