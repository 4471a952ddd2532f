import { get } from './clients.ts';
import { noisyShare, othersShare, spending } from './machine.ts';
import type { ProxyKind, RunningProxy, Variant } from './proxies.ts';
import type { Bench } from './row.ts';
import { percent } from './stats.ts';

/** One list of samples for each thing that is compared. */
export type Samples<K extends string, T> = ReadonlyMap<K, readonly T[]>;

/**
 * Measures everything once before anything twice, so that slow and fast minutes of a shared machine hit all alike. Rounds
 * in which other programs were busy do not count while half of the rounds are quiet.
 */
export async function alternate<K extends string, T>(
  bench: Bench,
  count: number,
  things: readonly K[],
  measure: (thing: K, round: number) => Promise<T>,
  show: (result: T) => string,
): Promise<Samples<K, T>> {
  const rounds: { readonly results: ReadonlyMap<K, T>; readonly others: number }[] = [];
  for (let round = 0; things.length > 0 && round < count; round += 1) {
    const before = spending(bench.machine);
    const results = new Map<K, T>();
    for (const thing of things) {
      bench.signal.throwIfAborted();
      results.set(thing, await measure(thing, round));
    }
    const others = othersShare(before, spending(bench.machine));
    rounds.push({ results, others });
    const shown = [...results].map(([thing, result]) => `${thing} ${show(result)}`).join(' · ');
    bench.say(`  ${round + 1}/${count}  ${shown}${others > noisyShare ? `  (others ${percent(others)})` : ''}`);
  }
  const quiet = rounds.filter(({ others }) => !(others > noisyShare));
  const used = quiet.length * 2 >= rounds.length ? quiet : rounds;
  bench.disturbance.push(...used.map(({ others }) => others));
  return new Map(things.map((thing) => [thing, used.flatMap(({ results }) => results.get(thing) ?? [])]));
}

/** One number of each sample of one thing; empty when it was not measured. */
export function column<K extends string, T>(samples: Samples<K, T>, thing: K, pick: (sample: T) => number): number[] {
  return (samples.get(thing) ?? []).map(pick);
}

/** One sign-in, so that what follows is warm: without it Caddy hashes once for every connection that comes first. */
export async function signIn(proxy: RunningProxy): Promise<void> {
  const { status } = await get(proxy.url, proxy.authorization, { ca: proxy.ca });
  if (status !== 200) throw new Error(`${proxy.kind} answered ${status} to the right password. ${proxy.complaint()}`);
}

/** Keeps one process of each kind, signed in, for the duration of `use`. */
export async function standing<T>(
  bench: Bench,
  kinds: readonly ProxyKind[],
  use: (proxy: (kind: ProxyKind) => RunningProxy) => Promise<T>,
  variant: Variant = {},
): Promise<T> {
  const proxies = new Map<ProxyKind, RunningProxy>();
  try {
    for (const kind of kinds) {
      const proxy = await bench.proxies.start(kind, variant);
      proxies.set(kind, proxy);
      await signIn(proxy);
    }
    return await use((kind) => {
      const proxy = proxies.get(kind);
      if (proxy === undefined) throw new Error(`${kind} was not started.`);
      return proxy;
    });
  } finally {
    await Promise.all([...proxies.values()].map((proxy) => proxy.stop(500)));
  }
}

/** As `standing`, with two processes of each kind: one without and one with TLS. */
export function standingBoth<T>(
  bench: Bench,
  kinds: readonly ProxyKind[],
  use: (proxy: (kind: ProxyKind, tls: boolean) => RunningProxy) => Promise<T>,
): Promise<T> {
  return standing(bench, kinds, (plain) =>
    standing(bench, kinds, (encrypted) => use((kind, tls) => (tls ? encrypted : plain)(kind)), { tls: true }),
  );
}
