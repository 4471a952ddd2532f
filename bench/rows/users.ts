import { randomBytes } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { get } from '../clients.ts';
import { saturate, target } from '../load.ts';
import type { RunningProxy } from '../proxies.ts';
import { alternate, column, signIn } from '../rounds.ts';
import type { Bench, Measurement, Row } from '../row.ts';
import { ratios, spread } from '../stats.ts';

const counts = [10, 10_000] as const;
type Count = `${(typeof counts)[number]} users`;

/** Ten colleagues or a whole company. */
export const users: Row = {
  name: 'users',
  title: 'Users: cost of a check at 10 and at 10,000 users',
  method:
    'Two guards with the same user and key among 10 and among 10,000 users, each of whom has an API key. Warm requests/s ' +
    'with the password and with the key, and the first sign-in of a guard that has just started. “The same” allows 10 % ' +
    'of noise.',
  budgets: [
    { name: 'password', what: 'requests/s with a password, 10,000 over 10', sense: 'at least', limit: 0.9, unit: '×' },
    { name: 'key', what: 'requests/s with a key, 10,000 over 10', sense: 'at least', limit: 0.9, unit: '×' },
    { name: 'cold', what: 'first sign-in, 10,000 over 10', sense: 'at most', limit: 1.1, unit: '×' },
  ],
  profile: 'requests',
  measure,
};

async function measure(bench: Bench): Promise<Measurement> {
  const { proxies, quick } = bench;
  if (!proxies.kinds.includes('guard')) return { samples: {}, tables: [], notes: [] };
  const folders = new Map<Count, string>();
  for (const count of counts) folders.set(`${count} users`, await crowdedFolder(bench, count));
  const sizes = [...folders.keys()];
  const start = (size: Count): Promise<RunningProxy> => proxies.start('guard', { data: folders.get(size) ?? '' });

  const cold = await alternate(
    bench,
    quick ? 1 : 5,
    sizes,
    async (size) => {
      const proxy = await start(size);
      try {
        const { took, status } = await get(proxy.url, proxy.authorization);
        return { took: status === 200 ? took : Number.NaN, startedIn: proxy.startedIn };
      } finally {
        await proxy.stop(500);
      }
    },
    ({ took, startedIn }) => `start ${startedIn.toFixed(0)} ms, first sign-in ${took.toFixed(0)} ms`,
  );
  const warm = await warmRates(bench, sizes, start);

  const rates = (size: Count, pick: 'password' | 'key'): number[] => column(warm, size, (sample) => sample[pick]);
  const first = (size: Count): number[] => column(cold, size, ({ took }) => took);
  return {
    samples: {
      password: ratios(rates('10000 users', 'password'), rates('10 users', 'password')),
      key: ratios(rates('10000 users', 'key'), rates('10 users', 'key')),
      cold: ratios(first('10000 users'), first('10 users')),
    },
    tables: [
      {
        head: ['', 'requests/s, password', 'requests/s, key', 'first sign-in ms', 'start ms'],
        lines: sizes.map((size) => [
          size,
          spread(rates(size, 'password')),
          spread(rates(size, 'key')),
          spread(first(size)),
          spread(column(cold, size, ({ startedIn }) => startedIn)),
        ]),
      },
    ],
    notes: [],
  };
}

async function warmRates(
  bench: Bench,
  sizes: readonly Count[],
  start: (size: Count) => Promise<RunningProxy>,
): Promise<ReadonlyMap<Count, readonly { password: number; key: number }[]>> {
  const running = new Map<Count, RunningProxy>();
  try {
    for (const size of sizes) {
      const proxy = await start(size);
      running.set(size, proxy);
      await signIn(proxy);
    }
    const rate = async (size: Count, seconds: number): Promise<{ password: number; key: number }> => {
      const proxy = running.get(size);
      if (proxy === undefined) throw new Error('unreachable: both were started');
      const password = await saturate(bench, target(proxy), seconds);
      const key = await saturate(bench, target(proxy, proxy.bearer), seconds);
      return {
        password: password.failures > 0 ? Number.NaN : password.perSecond,
        key: key.failures > 0 ? Number.NaN : key.perSecond,
      };
    };
    for (const size of sizes) await rate(size, 1);
    return await alternate(
      bench,
      bench.quick ? 1 : 5,
      sizes,
      (size) => rate(size, bench.quick ? 1 : 2),
      ({ password, key }) => `${password.toFixed(0)}/s by password, ${key.toFixed(0)}/s by key`,
    );
  } finally {
    await Promise.all([...running.values()].map((proxy) => proxy.stop(500)));
  }
}

/**
 * A data folder with the bench's user in the middle of others, made by copying that user's own record: another name,
 * other ids. 10,000 real `user add` would hash for an hour.
 */
async function crowdedFolder(bench: Bench, count: number): Promise<string> {
  const folder = await bench.processes.folder('users');
  await cp(bench.proxies.data, folder, { recursive: true });
  const file = join(folder, 'users.json');
  const content: unknown = JSON.parse(await readFile(file, 'utf8'));
  const { users } = content as { users: UserRecord[] };
  const [model] = users;
  if (model === undefined) throw new Error('users.json has no user to copy.');
  const others: UserRecord[] = Array.from({ length: count - 1 }, (_, index) => ({
    ...model,
    id: newId(),
    name: `user${index}`,
    keys: model.keys.map((key) => ({ ...key, id: newId(), sha256: randomBytes(32).toString('hex') })),
  }));
  others.splice(count >> 1, 0, model);
  await writeFile(file, JSON.stringify({ ...(content as object), users: others }));
  return folder;
}

interface UserRecord {
  readonly id: string;
  readonly name: string;
  readonly keys: readonly { readonly id: string; readonly sha256: string }[];
}

/** Ten letters, as the guard's own ids. */
function newId(): string {
  return Array.from(randomBytes(10), (byte) => 'abcdefghijklmnopqrstuvwxyz'[byte % 26]).join('');
}
