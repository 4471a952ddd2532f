import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LoadResult, saturate, type Target, target } from '../load.ts';
import type { RunningProxy } from '../proxies.ts';
import { alternate, column, signIn } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { median, number, ratios, spread } from '../stats.ts';

/**
 * `gate`: an upload that is let in and flows through unread. `no policy`: a request whose body is read, by somebody whom
 * nothing limits. `policy`: the same with all that a policy can say. An answer of 60 tokens is a short one; one of a
 * single token shows what the guard costs by itself.
 */
const contenders = {
  'gate, 60 tokens': { isChecked: false, tokens: 60, proxy: 'policy' },
  'no policy, 60 tokens': { isChecked: true, tokens: 60, proxy: 'no policy' },
  'policy, 60 tokens': { isChecked: true, tokens: 60, proxy: 'policy' },
  'gate, 1 token': { isChecked: false, tokens: 1, proxy: 'policy' },
  'no policy, 1 token': { isChecked: true, tokens: 1, proxy: 'no policy' },
  'policy, 1 token': { isChecked: true, tokens: 1, proxy: 'policy' },
  'policy, 1 token, 4 at once': { isChecked: true, tokens: 1, proxy: 'few' },
} as const;
type Contender = keyof typeof contenders;
const names = Object.keys(contenders) as Contender[];

/** Longer where a request takes a third of a second: those under way at either end are in one number alone. */
const secondsOf = (contender: Contender): number => (contenders[contender].tokens === 60 ? 4 : 1);

/** What the policy costs: reading bodies, model rules, clamps, limits and the queue. */
export const policy: Row = {
  name: 'policy',
  title: 'Policy: throughput with model rules, clamps, limits and the queue',
  method:
    'The same 1 KiB body over 32 keep-alive connections, to two routes that the upstream answers alike: with 60 tokens, ' +
    'one each 5 ms, or with a single one as fast as it can. `gate` is `POST /api/blobs/…`, which is let in by its ' +
    'credential and role and flows through unread, as does its answer. `policy` is `POST /api/generate` by the same admin ' +
    'with model rules, clamps, four limits for the user and for the key, and the queue, which lets all 32 through, or 4 at ' +
    'once; `no policy` is the same without them. A core takes as many requests as their CPU time lets it, so that is ' +
    'compared; the tokens of 60 come no faster.',
  budgets: [
    {
      name: 'over no policy',
      what: 'throughput with a policy and limits over without, 1 token',
      sense: 'at least',
      limit: 0.9,
      unit: '×',
    },
    {
      name: 'over no policy, 60',
      what: 'throughput with a policy and limits over without, 60 tokens',
      sense: 'at least',
      limit: 0.9,
      unit: '×',
    },
    {
      name: 'over gate',
      what: 'throughput with the policy over bodies that flow by unread, 60 tokens',
      sense: 'at least',
      limit: 0.9,
      unit: '×',
    },
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

/** Answered by the upstream with so many tokens. */
const body = (tokens: number): string =>
  JSON.stringify({
    model: 'bench',
    prompt: `stream ${tokens} 5`,
    system: 'x'.repeat(900),
    options: { temperature: 0.2, num_ctx: 4_096, num_predict: 256 },
    keep_alive: '5m',
  });

interface Sample extends LoadResult {
  /** CPU time of the guard for each request, in microseconds. */
  readonly each: number;
}

async function measure(bench: Bench): Promise<Measurement> {
  const { proxies, quick } = bench;
  if (!proxies.kinds.includes('guard')) return { samples: {}, tables: [], notes: [] };
  const running = new Map<string, RunningProxy>();
  try {
    running.set('policy', await proxies.start('guard', { data: await policyFolder(bench, { concurrency: 32 }) }));
    running.set('few', await proxies.start('guard', { data: await policyFolder(bench, { concurrency: 4 }) }));
    running.set('no policy', await proxies.start('guard', {}));
    for (const proxy of running.values()) await signIn(proxy);
    const load = async (contender: Contender, seconds: number): Promise<Sample> => {
      const { isChecked, tokens, proxy: which } = contenders[contender];
      const proxy = running.get(which);
      if (proxy === undefined) throw new Error('unreachable: all were started');
      const result = await saturate(
        bench,
        isChecked ? policyTarget(proxy, tokens) : gateTarget(proxy, tokens),
        seconds,
      );
      return { ...result, each: (result.cpu * 1_000) / (result.perSecond * seconds) };
    };
    for (const contender of names) await load(contender, quick ? 1 : 2);
    const samples = await alternate(
      bench,
      quick ? 1 : 7,
      names,
      (contender) => load(contender, quick ? 1 : secondsOf(contender)),
      ({ each }) => `${number(each)} µs`,
    );
    const times = (contender: Contender): number[] => column(samples, contender, ({ each }) => each);
    const gateOf = (contender: Contender): Contender =>
      contenders[contender].tokens === 60 ? 'gate, 60 tokens' : 'gate, 1 token';
    const failed = names.flatMap((contender) => column(samples, contender, ({ failures }) => failures));
    const failures = failed.reduce((sum, count) => sum + count, 0);
    return {
      samples: {
        'over no policy': ratios(times('no policy, 1 token'), times('policy, 1 token')),
        'over no policy, 60': ratios(times('no policy, 60 tokens'), times('policy, 60 tokens')),
        'over gate': ratios(times('gate, 60 tokens'), times('policy, 60 tokens')),
      },
      tables: [
        {
          head: ['', 'CPU µs/request', '× gate', 'requests/s', 'p50 ms', 'p99 ms'],
          lines: names.map((contender) => {
            const middle = (pick: (sample: Sample) => number): number => median(column(samples, contender, pick));
            return [
              contender,
              spread(times(contender)),
              spread(ratios(times(gateOf(contender)), times(contender))),
              spread(column(samples, contender, ({ perSecond }) => perSecond)),
              number(middle((sample) => sample.p50)),
              number(middle((sample) => sample.p99)),
            ];
          }),
        },
      ],
      notes: failures > 0 ? [`**${failures} requests failed.**`] : [],
    };
  } finally {
    await Promise.all([...running.values()].map((proxy) => proxy.stop(500)));
  }
}

/** A request whose body is read and checked, by API key. */
export function policyTarget(proxy: RunningProxy, tokens = 1): Target {
  return { ...target(proxy, proxy.bearer), post: { path: '/api/generate', body: body(tokens) } };
}

/** The same body to a route that does not read it. */
function gateTarget(proxy: RunningProxy, tokens: number): Target {
  return { ...target(proxy, proxy.bearer), post: { path: `/api/blobs/sha256:${'0'.repeat(64)}`, body: body(tokens) } };
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
